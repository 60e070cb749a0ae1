//! Each kind of dependency against the real thing.

mod postgres;
