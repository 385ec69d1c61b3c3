//! The packet path of Pointsman, a multihoming gateway.
#![no_std]

pub mod abi;
pub mod verdict;
