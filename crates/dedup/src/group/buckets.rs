//! Images in buckets, by a counting sort.

use std::ops::Range;

/// Image indices sorted by bucket, and within a bucket in rising order: a counting sort, linear in time and memory.
pub(super) struct Buckets {
    /// `starts[b]..starts[b + 1]` are the places of bucket `b` in `order`.
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl Buckets {
    /// Puts images 0 to `n_images` − 1 into the buckets that `bucket_of` says, each below `n_buckets`.
    pub(super) fn new(n_images: u32, n_buckets: usize, bucket_of: impl Fn(u32) -> u32) -> Self {
        let mut starts = vec![0u32; n_buckets + 1];
        for image in 0..n_images {
            starts[bucket_of(image) as usize + 1] += 1;
        }
        for bucket in 0..n_buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let mut order = vec![0; n_images as usize];
        // `starts[b]` serves as the next free place of bucket b, and so ends as the start of bucket b + 1.
        for image in 0..n_images {
            let place = &mut starts[bucket_of(image) as usize];
            order[*place as usize] = image;
            *place += 1;
        }
        starts.rotate_right(1);
        starts[0] = 0;
        Self { starts, order }
    }

    /// The images of each bucket, which may be sorted further.
    pub(super) fn each_mut(&mut self) -> Vec<&mut [u32]> {
        let mut rest = self.order.as_mut_slice();
        let mut buckets = Vec::with_capacity(self.starts.len() - 1);
        for ends in self.starts.windows(2) {
            let (bucket, after) = rest.split_at_mut((ends[1] - ends[0]) as usize);
            buckets.push(bucket);
            rest = after;
        }
        buckets
    }

    /// All images, bucket after bucket.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Where those of a bucket stand in [`Self::order`].
    pub(super) fn places(&self, bucket: usize) -> Range<usize> {
        self.starts[bucket] as usize..self.starts[bucket + 1] as usize
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_its_bucket_in_order() {
        let bucket_of = |image: u32| image * 7 % 5;
        let mut buckets = Buckets::new(23, 6, bucket_of);
        assert_eq!(buckets.len(), 6);
        for bucket in 0..6 {
            let expected: Vec<u32> = (0..23).filter(|&image| bucket_of(image) == bucket).collect();
            assert_eq!(buckets.order()[buckets.places(bucket as usize)], expected);
            assert_eq!(buckets.each_mut()[bucket as usize], expected);
        }
    }
}
