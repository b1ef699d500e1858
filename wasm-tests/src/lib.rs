//! What the filter is tested against and shown with.
