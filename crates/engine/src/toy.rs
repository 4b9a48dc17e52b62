//! Kinds of stages for the engine's own tests: numbers, made, doubled and added.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::external::{External, Form};
use crate::kind::{ConfigType, Kind, Registry, Traits};
use crate::paper::{Comparison, Stated, no_bearing, says};
use crate::stage::{Artifact, ConfigProblem, Facts, Input, InputRef, Outcome, Stage};

const NUMBERS: Artifact = Artifact::new("numbers", &["numbers.txt"]);
const SUM: Artifact = Artifact::new("a sum", &["sum.txt"]);

/// The toy kinds.
pub(crate) static TOYS: Registry =
    Registry { kinds: &[&COUNT, &READ, &DOUBLE, &ADD], facts: |_| Facts::Null };

static COUNT: Kind =
    kind("count", &["n=3"], &[says("n", "3", "section 1"), no_bearing("seed")], ConfigType::of::<Count>());
static READ: Kind = kind("read", &["file=numbers.txt"], ANY, ConfigType::of::<Read>());
static DOUBLE: Kind = kind("double", &["of=runs/m/count"], ANY, ConfigType::of::<Double>());
static ADD: Kind = kind("add", &["of=[\"runs/m/count\"]"], ANY, ConfigType::of::<Add>());

const ANY: &[Stated] = &[no_bearing("*")];

const fn kind(
    name: &'static str,
    example: &'static [&'static str],
    paper: &'static [Stated],
    config: ConfigType,
) -> Kind {
    Kind { name, version: 1, summary: "toy", details: "A toy.", example, paper, traits: Traits::NONE, config }
}

/// The numbers from `seed` on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    /// How many.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    n: usize,
    /// The first one.
    #[serde(default)]
    seed: u64,
}

fn three() -> usize {
    3
}

impl Stage for Count {
    fn yields(&self) -> Vec<Artifact> {
        vec![NUMBERS]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let message = "expected at least 1, found 0".to_owned();
        (self.n == 0).then(|| ConfigProblem { key: "n".to_owned(), message }).into_iter().collect()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        write(ctx, (0..self.n as u64).map(|idx| self.seed + idx).collect())
    }
}

/// The numbers in a file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Read {
    /// A number a line.
    #[schemars(extend("format" = "file"))]
    file: PathBuf,
}

impl Stage for Read {
    fn yields(&self) -> Vec<Artifact> {
        vec![NUMBERS]
    }

    fn external_paths(&self) -> Vec<External> {
        vec![External { key: "file", path: self.file.clone(), is: Form::File }]
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        write(ctx, numbers(&self.file)?)
    }
}

/// Others, doubled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Double {
    /// The numbers.
    of: Input,
    /// Only so many.
    #[serde(default)]
    limit: Option<usize>,
}

impl Stage for Double {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "of", name: &self.of, needs: NUMBERS }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![NUMBERS]
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let found = numbers(&ctx.input(&self.of).join("numbers.txt"))?;
        write(ctx, found.into_iter().take(limit).map(|number| 2 * number).collect())
    }
}

/// The sum of several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// The numbers.
    of: Vec<Input>,
}

impl Stage for Add {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        self.of.iter().map(|name| InputRef { key: "of", name, needs: NUMBERS }).collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![SUM]
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let mut sum = 0;
        for input in &self.of {
            sum += numbers(&ctx.input(input).join("numbers.txt"))?.iter().sum::<u64>();
        }
        fs_err::write(ctx.out.join("sum.txt"), sum.to_string())?;
        Ok(Outcome { metrics: json!({"sum": sum}), differences: Comparison::of_settings() })
    }
}

fn numbers(path: &std::path::Path) -> anyhow::Result<Vec<u64>> {
    Ok(fs_err::read_to_string(path)?.lines().map(str::parse).collect::<Result<_, _>>()?)
}

fn write(ctx: &Context<'_>, numbers: Vec<u64>) -> anyhow::Result<Outcome> {
    let lines: Vec<String> = numbers.iter().map(u64::to_string).collect();
    fs_err::write(ctx.out.join("numbers.txt"), lines.join("\n"))?;
    Ok(Outcome { metrics: json!({"n": numbers.len()}), differences: Comparison::of_settings() })
}
