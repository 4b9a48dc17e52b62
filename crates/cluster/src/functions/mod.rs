//! The functions that queries call. Client, scheduler and executors know them by name.

mod arrays;
mod hash_shard;
mod look;
mod near_in;
mod record;
mod records;
mod rewrite_tar;
mod search_key;
mod search_keys;
mod view_codes;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use self::hash_shard::ShardSpec;
pub(crate) use self::look::LookSpec;
pub(crate) use self::near_in::{NearSpec, WHOLE};
pub(crate) use self::record::VIEW;
pub(crate) use self::rewrite_tar::TarSpec;
pub(crate) use self::search_key::KeySpec;
pub(crate) use self::search_keys::KeysSpec;
pub(crate) use self::view_codes::ViewSpec;

/// All that take a row.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let all = [
        search_key::function(),
        search_keys::function(),
        near_in::function(),
        look::function(),
        view_codes::function(),
        hash_shard::function(),
        rewrite_tar::function(),
    ];
    all.map(Arc::new).to_vec()
}

/// All that take a group of rows.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(records::function())]
}
