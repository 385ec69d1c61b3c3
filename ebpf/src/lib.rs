//! The packet path of Pointsman, a multihoming gateway, and the types that it shares with the
//! daemon.
//!
//! This library runs wherever Rust does. It is generic over two traits, [`wire::Frame`] and
//! [`path::Tables`]; the XDP binary beside it backs them with the packet and BPF maps, tests with a
//! slice and ordinary collections. So the code that runs in the kernel is the code that is tested.
#![no_std]
// The compare-and-swap of BPF has no other name in Rust.
#![cfg_attr(target_arch = "bpf", allow(internal_features), feature(core_intrinsics))]
#![cfg_attr(not(test), forbid(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]

#[cfg(any(test, feature = "memory"))]
extern crate std;

pub mod abi;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod path;
pub mod table;
pub mod verdict;
pub mod wire;
