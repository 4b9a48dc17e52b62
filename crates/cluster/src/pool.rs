//! The memory that the engine may hold.

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, UnboundedMemoryPool,
};

/// What a writer of Parquet calls itself.
const WRITER: &str = "ParquetSink";

/// Shares memory among those who can spill what they hold. They may take all of it, and a file that is written meanwhile needs its few
/// kilobytes: those are counted, and not refused.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: FairSpillPool,
    of_writers: UnboundedMemoryPool,
}

impl Pool {
    pub(crate) fn new(memory: usize) -> Self {
        Self { shared: FairSpillPool::new(memory), of_writers: UnboundedMemoryPool::default() }
    }

    fn of(&self, consumer: &MemoryConsumer) -> &dyn MemoryPool {
        match consumer.name().starts_with(WRITER) {
            true => &self.of_writers,
            false => &self.shared,
        }
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "dcgan-cluster"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.of(consumer).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.of(consumer).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.of(reservation.consumer()).grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.of(reservation.consumer()).shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.of(reservation.consumer()).try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.shared.reserved() + self.of_writers.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}

impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_file_is_written_while_all_memory_is_taken() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(1000));
        let groups = MemoryConsumer::new("groups").with_can_spill(true).register(&pool);
        groups.try_grow(1000).unwrap();
        let join = MemoryConsumer::new("join").register(&pool);
        assert!(join.try_grow(10).is_err());
        let writer = MemoryConsumer::new(format!("{WRITER}(ArrowColumnWriter)")).register(&pool);
        writer.try_grow(100).unwrap();
        assert_eq!(pool.reserved(), 1100);
        drop((groups, writer));
        assert_eq!(pool.reserved(), 0);
    }
}
