//! The control over HTTP.
