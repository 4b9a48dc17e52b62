//! `hash_images`: the semantic hash of every picture of a set.

use dcgan_dedup::Autoencoder;
use dcgan_dedup::hash::{HashConfig, HashSummary, hash};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_engine::cluster::{Cluster, cluster_settings};
use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, no_bearing, says};
use dcgan_engine::run_stage::CPU;
use dcgan_engine::stage::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use dcgan_files::words::counted;
use dcgan_images::{Damaged, PassedOver, Shard, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::device;
use crate::remote::Reading;
use crate::{artifact, data_source, published};

/// What to hash, and with what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HashImages {
    /// The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.
    #[serde(default)]
    from: Option<Input>,
    /// The data set.
    source: Source,
    /// The autoencoder that `train_autoencoder` made.
    autoencoder: Input,
    /// Only so many pictures, the first ones.
    #[serde(default)]
    limit: Option<usize>,
    /// Only one of several parts of the set, for a machine of several: "3/64". Tars are divided by archives (ImageNet's not
    /// at all), other sets by pictures; the stage `merge` puts the parts together. Not with `limit`.
    #[serde(default)]
    shard: Option<Shard>,
    /// Pictures that claim more pixels are passed over before they are decoded.
    #[serde(default = "max_pixels")]
    max_pixels: u64,
    /// JPEGs of which a part is lost: bad pictures, or taken with grey where data is lost.
    #[serde(default)]
    damaged: Damaged,
}

fn max_pixels() -> u64 {
    HashConfig::default().max_pixels
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "hash_images",
    version: 6,
    summary: "hash every picture of a set to 128 bits, from an LMDB, a folder, tars or an image store",
    details: "Writes codes.parquet (key, word0, word1, width, height, blake3: the first 64 bits of the file's BLAKE3 hash, n_bytes: its size), pictures.npy (the 32×32 pictures that were hashed), \
              bad.csv (what could not be hashed, with the reason) and a copy of the autoencoder. Pictures are streamed and \
              decoded at reduced size on all cores; memory does not grow with their number. Interrupted or killed, it goes on \
              where it stopped and ends with the bits of an uninterrupted run.\n\n\
              On a cluster (`--cluster`, or the manifest's [cluster]) the set is hashed in parts, with the same bits.",
    example: &["source.lsun.path=data/lsun/bedroom_train_lmdb", "autoencoder=runs/lsun/autoencoder-robust"],
    paper: &PAPER,
    traits: Traits {
        is_resumable: true,
        uses_device: true,
        uses_cluster: true,
        key_of_path: data_source::key_of_path,
        ..Traits::NONE
    },
    config: ConfigType::of::<HashImages>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 7] = [
    no_bearing("from"),
    no_bearing("source.*"),
    no_bearing("autoencoder"),
    says("limit", "null", "all pictures of the set"),
    no_bearing("shard"),
    no_bearing("max_pixels"),
    no_bearing("damaged"),
];

impl HashImages {
    fn hash_here(&self, reading: &Reading, ctx: &Context<'_>) -> anyhow::Result<HashSummary> {
        let device = device::open(ctx)?;
        let model = Autoencoder::load(&ctx.input(&self.autoencoder).join(AUTOENCODER))?.on(&device)?;
        let config = HashConfig { shard: reading.shard, ..self.config() };
        let mut task = ctx.task("hashing", "pictures");
        let mut observe = |done, total| task.observe(done, total);
        Ok(hash(&reading.source, &model, &config, ctx.out, &mut observe)?)
    }

    /// Parts of the set are hashed wherever there is room; also what in the set is not read, which is listed already.
    fn hash_on(
        &self,
        cluster: &Cluster,
        source: &Source,
        ctx: &Context<'_>,
    ) -> anyhow::Result<(HashSummary, PassedOver)> {
        let mut arguments = vec!["--source".into(), serde_json::to_string(source)?.into()];
        arguments.extend(["--autoencoder".into(), ctx.input(&self.autoencoder).into()]);
        arguments.extend(["--parts".into(), cluster.parts().to_string().into()]);
        let settings = HashConfig { limit: None, shard: None, ..self.config() };
        arguments.extend(cluster_settings(&settings)?);
        let report = cluster.run(ctx.out, ctx.progress(), ("hash", arguments))?;
        let not_read = report.get("not_read").map(PassedOver::deserialize).transpose()?;
        Ok((serde_json::from_value(report)?, not_read.unwrap_or_default()))
    }

    fn config(&self) -> HashConfig {
        HashConfig {
            max_pixels: self.max_pixels,
            damaged: self.damaged,
            limit: self.limit,
            shard: self.shard,
        }
    }
}

impl Stage for HashImages {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = data_source::inputs(self.from.as_ref(), &self.source);
        inputs.push(InputRef { key: "autoencoder", name: &self.autoencoder, needs: artifact::AUTOENCODER });
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::CODES]
    }

    fn external_paths(&self) -> Vec<External> {
        data_source::externals(self.from.as_ref(), &self.source)
    }

    fn advice(&self, external: &External, found: Option<Form>) -> Advice {
        data_source::advice(&self.source, external, found)
    }

    fn key_of(&self, external: &External) -> &'static str {
        data_source::key_of(&self.source, external)
    }

    fn data_name(&self) -> Option<String> {
        data_source::name(&self.source)
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("", self.config().validate());
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let Some(source) = data_source::resolve_here(self.from.as_ref(), &self.source, ctx) else {
            return Ok(None);
        };
        // A code of 128 bits, and the picture it is of.
        let picture_bytes = 16 + 3 * 32 * 32;
        let n_read = data_source::n_read(&source, self.limit, ctx)?;
        Ok(n_read.map(|n_images| n_images / self.shard.map_or(1, Shard::count) * picture_bytes))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let unless = [
            ("`limit` is set", self.limit.is_some()),
            ("`shard` is set", self.shard.is_some()),
            ("another device is asked for", ctx.device() != CPU),
        ];
        let cluster = ctx.cluster(&unless)?;
        let from = self.from.as_ref();
        let reading = match cluster {
            Some(_) => data_source::resolve_elsewhere(from, &self.source, ctx),
            None => data_source::resolve_part(from, &self.source, self.shard, ctx)?,
        };
        let source = &reading.source;
        let (summary, listed) = match cluster {
            Some(cluster) => {
                self.hash_on(cluster, source, ctx).map(|(summary, listed)| (summary, Some(listed)))?
            }
            None => (self.hash_here(&reading, ctx)?, None),
        };
        if summary.n_bad > 0 {
            ctx.progress().warn(format_args!(
                "{} could not be hashed; bad.csv in the stage's folder says why",
                counted(summary.n_bad, "picture")
            ));
        }
        // A code of which hardly any bit tells pictures apart finds thousands that are not alike.
        if summary.n_images > 0 && (summary.least_set < 0.02 || summary.most_set > 0.98) {
            ctx.progress().warn(format_args!(
                "the bits are not balanced: one is set for {:.1} % of the pictures, another for {:.1} %",
                100.0 * summary.least_set,
                100.0 * summary.most_set
            ));
        }
        let differences = match self.shard {
            None => published::compare(&self.source, summary.n_images, self.from.is_some()),
            Some(shard) => published::part(shard, summary.n_images),
        };
        let mut metrics = serde_json::to_value(&summary)?;
        reading.note(&mut metrics);
        if reading.tells_the_rest() {
            match listed {
                Some(listed) => data_source::note_passed_over(&listed, ctx, &mut metrics)?,
                None => data_source::list_passed_over(source, ctx, &mut metrics)?,
            }
            data_source::note_left_out(source, ctx, &mut metrics)?;
        }
        Ok(Outcome { metrics, differences })
    }
}
