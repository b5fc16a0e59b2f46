//! Takes, restores, compares and verifies a point in time: files and databases under one id.
