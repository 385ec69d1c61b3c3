use std::fs;

use anyhow::bail;

/// Bits of the kernel's capability masks (capability.h).
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;

/// Makes sure that the process may do what the daemon does, before it does anything.
pub(super) fn require() -> anyhow::Result<()> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    match effective(&status) {
        Some(mask) if !may_serve(mask) => bail!(
            "being the gateway is not permitted; run as root, or with the capabilities CAP_BPF, \
             CAP_NET_ADMIN and CAP_NET_RAW"
        ),
        // Where the mask is not to be had, the kernel says itself what is not permitted.
        _ => Ok(()),
    }
}

fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn may_serve(mask: u64) -> bool {
    let network = NET_ADMIN | NET_RAW;
    mask & network == network && mask & (BPF | SYS_ADMIN) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_and_others_may_not() {
        let mask = effective("Name:\tcat\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n");
        assert_eq!(mask, Some(0x1ff_ffff_ffff));
        assert!(may_serve(mask.unwrap()));
        assert!(may_serve(NET_ADMIN | NET_RAW | BPF));
        assert!(!may_serve(NET_ADMIN | NET_RAW));
        assert!(!may_serve(NET_RAW | BPF));
        assert_eq!(effective("Name:\tcat\n"), None);
    }
}
