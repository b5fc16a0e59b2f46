//! Changes an application so that it can always be put back.
