//! `dedup_eval`: how many near-duplicates are found, and how many pairs are found that are none.

use dcgan_dedup::Autoencoder;
use dcgan_dedup::evaluate::{EvaluateConfig, Evaluated, Sheet, evaluate};
use dcgan_dedup::group::{GROUPS, GroupConfig, Rule, group_images, read_groups};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_images::Source;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::group_duplicates::{BORDERLINE, pairs_to_judge};
use super::info::{KeyInfo, KindInfo, optional, required};
use super::{Artifact, ConfigProblem, External, Input, InputRef, Outcome, Stage, data_source};
use crate::context::Context;
use crate::report::figure::Figure;

/// What to judge, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DedupEval {
    /// The stage that made the data set, if one did; the paths in `source` are then within its folder.
    #[serde(default)]
    pub from: Option<Input>,
    /// The data set.
    pub source: Source,
    /// Its codes.
    pub codes: Input,
    /// The rules.
    #[serde(default)]
    pub grouping: GroupConfig,
    /// The changes, and how many pictures are changed.
    #[serde(default)]
    pub evaluation: EvaluateConfig,
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "dedup_eval",
    version: 3,
    summary: "measure which near-duplicates the semantic hash finds, beside pHash and dHash; make a contact sheet",
    details: "Changes pictures of the set in known ways and looks for the copies among the set. Writes evaluation.json and \
              evaluation.md (recall of each change with 95 % intervals, false pairs among those found; for `exact`, `near`, \
              pHash and dHash, the latter two at the largest radius within the false-positive rate), contact_sheet.html \
              (groups drawn at random and the pairs nearest to the threshold, for people to judge; some of them as figures for \
              the report), and the set's own groups by the near rule.",
    keys: &KEYS,
    example: &["source.lsun.path=data/lsun/bedroom_train_lmdb", "codes=runs/lsun/codes"],
    is_resumable: false,
    reads_records: false,
    uses_device: false,
};

const KEYS: [KeyInfo; 17] = [
    data_source::FROM,
    data_source::LSUN,
    data_source::FOLDER,
    data_source::TAR,
    data_source::STORE,
    required("codes", "stage", "The codes that `hash_images` made."),
    optional("grouping.rule", "\"exact\" or \"near\"", "\"exact\"", "Of no effect here: both are measured."),
    optional("grouping.radius", "0 to 24", "12", "As for `group_duplicates`."),
    optional("grouping.pixel_distance", "number from 0 to 2", "0.3", "As for `group_duplicates`."),
    optional("grouping.bucket_cap", "count", "16384", "As for `group_duplicates`."),
    optional("grouping.keep", "\"largest\" or \"lowest_key\"", "\"largest\"", "As for `group_duplicates`."),
    optional("evaluation.n_changed", "count", "1000", "Pictures that are changed, drawn at random."),
    optional(
        "evaluation.n_background",
        "count",
        "20000",
        "Pictures among which they are looked for, the first ones.",
    ),
    optional(
        "evaluation.changes",
        "list of jpeg(Q), resize(%), crop(%), brightness(%), blur(SIGMA), flip",
        "[\"jpeg(95)\", \"jpeg(75)\", \"jpeg(50)\", \"jpeg(30)\", \"resize(75)\", \"resize(50)\", \"brightness(-10)\", \
         \"brightness(5)\", \"brightness(10)\", \"blur(1)\", \"blur(2)\", \"crop(1)\", \"crop(2)\", \"crop(3)\", \
         \"crop(5)\", \"crop(10)\", \"flip\"]",
        "The changes.",
    ),
    optional(
        "evaluation.false_positive_rate",
        "number in (0, 1)",
        "0.01",
        "Share of false pairs among those found that pHash and dHash are held to.",
    ),
    optional("evaluation.n_on_sheet", "count", "50", "Groups, and pairs, on the contact sheet."),
    optional(
        "evaluation.seed",
        "whole number",
        "0",
        "Seed of what is changed and how, and of what is shown.",
    ),
];

impl Stage for DedupEval {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = data_source::inputs(self.from.as_ref(), &self.source);
        inputs.push(InputRef { key: "codes", name: &self.codes, needs: Artifact::Codes });
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Groups, Artifact::Figures]
    }

    fn external_paths(&self) -> Vec<External> {
        data_source::externals(self.from.as_ref(), &self.source)
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.source)
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("grouping", self.grouping.validate());
        problems.extend(ConfigProblem::of("evaluation", self.evaluation.validate()));
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.evaluation.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let source = data_source::resolve(self.from.as_ref(), &self.source, ctx);
        let hashed = ctx.input(&self.codes);
        let model = Autoencoder::load(&hashed.join(AUTOENCODER))?;
        let grouping = GroupConfig { rule: Rule::Near, ..self.grouping.clone() };
        let mut task = ctx.task("comparing", "pairs");
        let summary =
            group_images(&hashed, &grouping, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        let groups = read_groups(&ctx.out.join(GROUPS))?;
        let pairs = pairs_to_judge(&hashed, &summary)?;
        ctx.write_json(BORDERLINE, &pairs)?;

        let mut task = ctx.task("changing pictures", "pictures");
        let evaluated = Evaluated {
            source: &source,
            model: &model,
            hashed: &hashed,
            groups: &groups,
            grouping: &grouping,
        };
        let (evaluation, sheet) =
            evaluate(evaluated, &self.evaluation, &pairs, &mut |done, total| task.observe(done, total))?;
        drop(task);
        ctx.write_json("evaluation.json", &evaluation)?;
        fs_err::write(ctx.out.join("evaluation.md"), evaluation.markdown())?;
        fs_err::write(
            ctx.out.join("contact_sheet.html"),
            sheet.html(&format!("Near-duplicates in {source}"), &evaluation),
        )?;
        ctx.write_json(Figure::FILE, &figures(&sheet, &source, ctx)?)?;
        let metrics = json!({
            "groups": summary,
            "n_changed": evaluation.n_changed,
            "n_background": evaluation.n_background,
            "false_positives": evaluation.methods.iter().map(|method| {
                (method.method.clone(), json!(method.false_positives.share))
            }).collect::<serde_json::Map<_, _>>(),
        });
        Ok(Outcome { metrics, differences: Vec::new() })
    }
}

/// Some of the contact sheet as pictures for the report.
fn figures(sheet: &Sheet, source: &Source, ctx: &Context<'_>) -> anyhow::Result<Vec<Figure>> {
    let groups = (
        "groups.jpg",
        sheet.groups_picture()?,
        "Groups of near-duplicates",
        "drawn at random; of each the first picture stays",
    );
    let pairs = (
        "pairs.jpg",
        sheet.pairs_picture()?,
        "Pairs nearest to the threshold",
        "nearest to the threshold of the second look, on either side of it: not all of them are near-duplicates",
    );
    let mut figures = Vec::new();
    for (file, picture, title, which) in [groups, pairs] {
        let Some(picture) = picture else { continue };
        fs_err::write(ctx.out.join(file), picture)?;
        figures.push(Figure {
            file: file.to_owned(),
            title: title.to_owned(),
            caption: format!(
                "{title} in {source}, {which}. contact_sheet.html in the stage's folder shows more, with names and distances."
            ),
            alt: format!("Small pictures of {source} in blocks: {}", title.to_lowercase()),
        });
    }
    Ok(figures)
}
