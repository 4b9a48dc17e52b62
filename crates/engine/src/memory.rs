//! How much memory there is, and how much the process held, where the system tells (Linux).

use std::path::Path;

/// The most memory that the process ever held, in bytes, or since it was last [reset](crate::usage::Usage::start).
pub fn high_water_mark() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

/// The memory that the process may have: the machine's, or less where its control group is given less. None where the system
/// does not tell.
pub fn most() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let groups = fs_err::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(limits_of_group);
    limits.chain([1024 * kib]).min()
}

/// The limits of a line of `/proc/self/cgroup`, of the group and of those above it: `0::/path`, or `N:memory:/path` of version 1.
fn limits_of_group(line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (root, file) = match parts.next() {
        Some("") => ("/sys/fs/cgroup", "memory.max"),
        Some(names) if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = Path::new(parts.next().unwrap_or_default().trim_start_matches('/'));
    // "max" is no number, and no limit.
    let limit = |group: &Path| {
        std::fs::read_to_string(Path::new(root).join(group).join(file)).ok()?.trim().parse().ok()
    };
    path.ancestors().filter_map(limit).collect()
}

/// Has the C library keep freed memory for the next allocation. Without, glibc gives every tensor of over 32 MiB back to the
/// system, and each step of a training waits for the same pages to be zeroed again. To be called once, before other
/// threads start; does nothing where the C library is another.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt only sets limits of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        // One heap: those of further threads are of 64 MiB at most.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives freed memory that [`keep_freed`] kept back to the system; does nothing where the C library is another.
pub fn release_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: malloc_trim returns pages to the system that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_the_machine_is_known() {
        let most = most().unwrap();
        assert!(most > 1 << 26 && most < 1 << 50, "{most}");
        assert_eq!(limits_of_group("3:cpu,cpuacct:/x"), Vec::<u64>::new());
        assert_eq!(limits_of_group("0::/no/such/group").len(), limits_of_group("0::/").len());
    }
}
