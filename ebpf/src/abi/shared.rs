use core::cell::UnsafeCell;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// A word that other CPUs read and write meanwhile.
///
/// It stands in for [`AtomicU64`](core::sync::atomic::AtomicU64), which on BPF can load and store
/// from version 4 of the instruction set (kernel 6.6) on, and whose other operations Rust does not
/// offer there at all.
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

    /// The value, before whatever is loaded next.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn acquire(&self) -> u64 {
        // Neither the compiler nor an x86-64 machine loads out of order what is volatile.
        self.load()
    }

    /// Replaces the value, after whatever was stored before.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn release(&self, value: u64) {
        // As for `acquire`.
        self.store(value);
    }

    /// Replaces the value where it is `old`. Says whether it was.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn replace(&self, old: u64, new: u64) -> bool {
        use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg};
        // SAFETY: the pointer is valid and aligned. The instruction is of version 3 (kernel 5.12),
        // and the compiler selects it for any.
        unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(self.0.get(), old, new).1 }
    }

    /// Replaces the value, after whatever was stored before, and before whatever is loaded next.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn publish(&self, value: u64) {
        use core::intrinsics::{AtomicOrdering::SeqCst, atomic_xchg};
        // SAFETY: as for `replace`.
        unsafe { atomic_xchg::<u64, { SeqCst }>(self.0.get(), value) };
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
    #[inline]
    pub fn load(&self) -> u64 {
        self.atomic().load(Ordering::Relaxed)
    }

    /// Replaces the value.
    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    pub fn store(&self, value: u64) {
        self.atomic().store(value, Ordering::Relaxed);
    }

    /// The value, before whatever is loaded next.
    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    pub fn acquire(&self) -> u64 {
        self.atomic().load(Ordering::Acquire)
    }

    /// Replaces the value, after whatever was stored before.
    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    pub fn release(&self, value: u64) {
        self.atomic().store(value, Ordering::Release);
    }

    /// Replaces the value where it is `old`. Says whether it was.
    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    pub fn replace(&self, old: u64, new: u64) -> bool {
        let result = self.atomic().compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
        result.is_ok()
    }

    /// Replaces the value, after whatever was stored before, and before whatever is loaded next.
    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    pub fn publish(&self, value: u64) {
        self.atomic().swap(value, Ordering::SeqCst);
        // Of two that publish, and then look for the other, one finds it: without the fence, only the
        // order of what each publishes is certain.
        fence(Ordering::SeqCst);
    }

    #[cfg(not(target_arch = "bpf"))]
    #[inline]
    fn atomic(&self) -> &AtomicU64 {
        // SAFETY: the pointer is valid and aligned for as long as `self`, and the word is accessed
        // through atomics only.
        unsafe { AtomicU64::from_ptr(self.0.get()) }
    }
}
