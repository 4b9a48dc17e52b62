//! How much memory a stage takes is its own. A process of its own: the mark is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use dcgan_engine::memory::PeakMemory;

#[test]
fn the_peak_is_of_the_stage_alone() {
    const MIB: u64 = 1 << 20;
    let hold = |n_mib: usize| std::hint::black_box(vec![1_u8; n_mib << 20]).len();
    let first = PeakMemory::start();
    hold(300);
    let large = first.bytes().unwrap();
    assert!(large > 300 * MIB, "{large}");
    drop(first);

    let second = PeakMemory::start();
    hold(10);
    let small = second.bytes().unwrap();
    assert!(small + 200 * MIB < large, "{small} after {large}");
    let beside = PeakMemory::start();
    assert_eq!((second.bytes(), beside.bytes()), (None, None), "two at once cannot be told apart");
}
