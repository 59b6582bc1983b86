//! What a peer's behaviour costs the server: processor time and memory, before and after.

use crate::service::Service;
use std::time::Duration;

/// A measurement that was begun.
#[derive(Debug)]
pub struct Meter<'a> {
    service: &'a Service,
    processor: Duration,
    memory_kib: u64,
}

/// What it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Processor time of one act.
    pub processor: Duration,
    /// Resident memory that is held afterwards and was not before.
    pub memory_kib: u64,
}

impl<'a> Meter<'a> {
    /// Begins.
    pub fn begin(service: &'a Service) -> Self {
        Self { service, processor: service.processor_time(), memory_kib: service.memory_kib() }
    }

    /// Ends, and divides by the number of acts.
    pub fn end(self, acts: u32) -> Cost {
        Cost {
            processor: (self.service.processor_time() - self.processor) / acts,
            memory_kib: self.service.memory_kib().saturating_sub(self.memory_kib),
        }
    }
}
