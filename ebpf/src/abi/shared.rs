use core::cell::UnsafeCell;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering};

/// A word that other CPUs read and write meanwhile: relaxed atomic loads and stores, no more.
///
/// It stands in for [`AtomicU64`](core::sync::atomic::AtomicU64), whose loads and stores the
/// compiler's BPF back end cannot select below version 4 of the instruction set (kernel 6.6).
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct SharedU64(UnsafeCell<u64>);

// SAFETY: every access is atomic, see `load` and `store`.
unsafe impl Sync for SharedU64 {}

impl SharedU64 {
    /// A word with this value.
    pub const fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn load(&self) -> u64 {
        // SAFETY: the pointer is valid and aligned. A volatile access of an aligned word is one BPF
        // instruction, which the kernel executes as one access.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces the value.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn store(&self, value: u64) {
        // SAFETY: as for `load`.
        unsafe { self.0.get().write_volatile(value) }
    }

    /// One more. Not one access: of two CPUs that count at a time, one may be lost.
    #[inline(always)]
    pub fn count_up(&self) {
        self.store(self.load().wrapping_add(1));
    }

    /// One less, but not below zero. As [`Self::count_up`].
    #[inline(always)]
    pub fn count_down(&self) {
        self.store(self.load().saturating_sub(1));
    }

    /// The value.
    #[cfg(not(target_arch = "bpf"))]
    pub fn load(&self) -> u64 {
        self.atomic().load(Ordering::Relaxed)
    }

    /// Replaces the value.
    #[cfg(not(target_arch = "bpf"))]
    pub fn store(&self, value: u64) {
        self.atomic().store(value, Ordering::Relaxed);
    }

    #[cfg(not(target_arch = "bpf"))]
    fn atomic(&self) -> &AtomicU64 {
        // SAFETY: the pointer is valid and aligned for as long as `self`, and the word is accessed
        // through atomics only.
        unsafe { AtomicU64::from_ptr(self.0.get()) }
    }
}
