//! How much memory and processor time a stage takes is its own. A process of its own: the mark is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use dcgan_engine::usage::Usage;

#[test]
fn the_peak_is_of_the_stage_alone() {
    const MIB: u64 = 1 << 20;
    let hold = |n_mib: usize| std::hint::black_box(vec![1_u8; n_mib << 20]).len();
    let first = Usage::start();
    hold(300);
    let large = first.peak_memory_bytes().unwrap();
    assert!(large > 300 * MIB, "{large}");
    let began = std::time::Instant::now();
    while began.elapsed().as_millis() < 400 {
        std::hint::black_box(began);
    }
    let busy = first.cpu_seconds().unwrap();
    drop(first);

    let second = Usage::start();
    hold(10);
    let small = second.peak_memory_bytes().unwrap();
    assert!(small + 200 * MIB < large, "{small} after {large}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let idle = second.cpu_seconds().unwrap();
    assert!(busy > 0.05 && idle < busy, "{busy} {idle}");
    let beside = Usage::start();
    assert_eq!(
        (second.peak_memory_bytes(), beside.peak_memory_bytes()),
        (None, None),
        "two at once cannot be told apart"
    );
    assert_eq!((second.cpu_seconds(), beside.cpu_seconds()), (None, None));
}
