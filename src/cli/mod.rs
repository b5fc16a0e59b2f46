//! Speaks with a person: the only printing, prompting, environment and exit codes.
