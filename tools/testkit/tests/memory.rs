//! The store in memory passes the suite that the other stores are held against.
#![allow(clippy::unwrap_used)]

use touchmark_inventory::MemoryStore;
use touchmark_testkit::conformance;

#[test]
fn the_store_in_memory_conforms() {
    conformance::run(|| Box::new(MemoryStore::new()));
}
