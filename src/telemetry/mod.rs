//! What the filter tells its operators: counters, and warnings that do not flood the log.

pub mod metric;
pub mod warning;
