//! `dedup_eval`: how many near-duplicates are found, and how many pairs are found that are none.

use std::path::{Path, PathBuf};

use dcgan_dedup::Autoencoder;
use dcgan_dedup::evaluate::{
    EvaluateConfig, Evaluated, Evaluation, Judged, PairToJudge, Sheet, evaluate, found_pairs,
};
use dcgan_dedup::group::{
    GROUPS, GroupConfig, GroupSummary, Member, Rule, RuleCounts, group_images, read_groups,
};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::inputs::upstream;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage, grouped};
use dcgan_engine::stage::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use dcgan_files::words::counted;
use dcgan_images::Source;
use dcgan_report::entry::{Cell, Entry, Table};
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::drawing::folder_in;
use crate::group_duplicates::{BORDERLINE, pairs_to_judge};
use crate::pages::judge_page;
use crate::{artifact, data_source, published};

/// What to judge, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DedupEval {
    /// The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.
    #[serde(default)]
    from: Option<Input>,
    /// The data set.
    source: Source,
    /// The codes that `hash_images` made.
    codes: Input,
    /// The rules.
    #[serde(default)]
    grouping: GroupConfig,
    /// The changes, and how many pictures are changed.
    #[serde(default)]
    evaluation: EvaluateConfig,
    /// The pairs.csv that contact_sheet.html saves.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    judged: Option<PathBuf>,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "dedup_eval",
    version: 7,
    summary: "measure which near-duplicates the semantic hash finds, beside pHash and dHash; make a contact sheet",
    details: "Changes pictures of the set in known ways and looks for the copies among the set. Writes evaluation.json and \
              evaluation.md (recall of each change with 95 % intervals, false pairs among those found; for `exact`, `near`, \
              pHash and dHash, the latter two at the largest radius within the false-positive rate), contact_sheet.html \
              (a page on which people mark pairs that `grouping.rule` found, drawn at random, as the same picture or not; under \
              them the pairs nearest to the threshold), result.json (a row for the report), two figures, and the set's \
              own groups by the near rule.\n\n\
              Save pairs.csv on the page and give it as `judged`: the share of pairs that are not the same is the \
              false-positive rate as the paper's authors estimated it, here with its 95 % interval. 0 of 400 pairs are needed \
              to say \"below 1 in 100\"; `evaluation.n_on_sheet` sets how many stand on the page.",
    example: &["source.lsun.path=data/lsun/bedroom_train_lmdb", "codes=runs/lsun/codes-robust"],
    paper: &PAPER,
    traits: Traits { key_of_path: data_source::key_of_path, ..Traits::NONE },
    config: ConfigType::of::<DedupEval>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [by_stage("*")];

impl Stage for DedupEval {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = data_source::inputs(self.from.as_ref(), &self.source);
        inputs.push(InputRef { key: "codes", name: &self.codes, needs: artifact::CODES });
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::GROUPS, artifact::FIGURES, artifact::RESULT]
    }

    fn external_paths(&self) -> Vec<External> {
        let mut externals = data_source::externals(self.from.as_ref(), &self.source);
        externals.extend(self.judged.iter().map(|path| External {
            key: "judged",
            path: path.clone(),
            is: Form::File,
        }));
        externals
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
        let mut problems = ConfigProblem::of("grouping", self.grouping.validate());
        problems.extend(ConfigProblem::of("evaluation", self.evaluation.validate()));
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.evaluation.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let source = data_source::resolve(self.from.as_ref(), &self.source, ctx)?;
        let hashed = ctx.input(&self.codes);
        let model = Autoencoder::load(&hashed.join(AUTOENCODER))?;
        let grouping = GroupConfig { rule: Rule::Near, ..self.grouping.clone() };
        let mut task = ctx.task("comparing", "pairs");
        let summary =
            group_images(&hashed, &grouping, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        let groups = read_groups(&ctx.out.join(GROUPS))?;
        let borderline = pairs_to_judge(&hashed, &summary.borderline)?;
        ctx.write_json(BORDERLINE, &borderline)?;
        let (found, counts) = self.found(ctx, &groups, &summary)?;
        // What is wrong with the file is said before the long work.
        let judged = self.judged.as_ref().map(|path| Judged::read(path, &found)).transpose()?;

        let mut task = ctx.task("changing pictures", "pictures");
        let evaluated = Evaluated {
            source: &source,
            model: &model,
            hashed: &hashed,
            groups: &groups,
            found: &found,
            grouping: &grouping,
        };
        let (evaluation, sheet) =
            evaluate(evaluated, &self.evaluation, &borderline, &mut |done, total| task.observe(done, total))?;
        drop(task);
        let partly = partly(&evaluation, &source);
        partly.iter().for_each(|partly| ctx.progress().warn(partly));
        ctx.write_json("evaluation.json", &evaluation)?;
        fs_err::write(ctx.out.join("evaluation.md"), evaluation.markdown())?;
        let title = format!("Near-duplicates in {source}");
        let page = judge_page(&title, &format!("the rule `{}`", self.grouping.rule), &sheet, &evaluation);
        fs_err::write(ctx.out.join("contact_sheet.html"), page)?;
        ctx.write_json(Figure::FILE, &figures(&sheet, &source, ctx)?)?;
        let preset = preset_of_codes(&hashed)?;
        ctx.write_json(
            Entry::FILE,
            &self.entry((&counts, summary.n_images), &evaluation, judged.as_ref(), preset, &source),
        )?;
        let metrics = json!({
            "groups": summary,
            "n_changed": evaluation.n_changed,
            "n_background": evaluation.n_background,
            "n_met": evaluation.n_met,
            "false_positives": evaluation.methods.iter().map(|method| {
                (method.method.clone(), json!(method.false_positives.share))
            }).collect::<serde_json::Map<_, _>>(),
            "n_found": found.len(),
            "judged": judged,
        });
        let mut differences = published::compare_duplicates(found.len() as u64, summary.n_images);
        differences.join(published::compare_rule(&self.grouping));
        differences.join(compared(judged.as_ref()));
        Ok(Outcome { metrics, differences })
    }
}

/// The false-positive rate that the paper estimated by eye (section 4.1.1).
const PAPERS_RATE: f64 = 0.01;

/// Compares the rate with the paper's "less than 1 in 100".
fn compared(judged: Option<&Judged>) -> Comparison {
    let Some(judged) = judged else {
        return Comparison::not_checked(
            "false positives were not judged by eye, as the paper did (section 4.1.1)",
        );
    };
    let rate = rate_text(judged);
    let mut comparison = Comparison::of_settings();
    if judged.false_positives.high < PAPERS_RATE {
        comparison.equal.push(format!("below 1 in 100 false positives by eye: {rate}"));
    } else if judged.false_positives.low > PAPERS_RATE {
        comparison
            .differences
            .push(format!("false positives by eye: {rate}, not below 1 in 100 (section 4.1.1)"));
    } else {
        let text = format!("false positives by eye: {rate}; too few pairs to tell whether below 1 in 100");
        comparison.not_checked.push(text);
    }
    comparison
}

/// What to say where the set holds only a part of what was hashed.
fn partly(evaluation: &Evaluation, source: &Source) -> Option<String> {
    let Evaluation { n_met, n_background, .. } = *evaluation;
    (n_met < n_background).then(|| {
        format!("{source} holds {n_met} of the {n_background} hashed pictures that are compared; the others stand by their codes alone")
    })
}

fn rate_text(judged: &Judged) -> String {
    let share = &judged.false_positives;
    format!(
        "{} of {} pairs not the same, {:.1} % (95 %: {:.1}–{:.1} %), {} pairs not marked",
        share.n_of,
        share.n,
        100.0 * share.share,
        100.0 * share.low,
        100.0 * share.high,
        judged.n_unmarked
    )
}

impl DedupEval {
    /// The pairs that the rule in use found, and their number; `near` are the groups by the near rule.
    fn found(
        &self,
        ctx: &Context<'_>,
        near: &[Vec<Member>],
        summary: &GroupSummary,
    ) -> anyhow::Result<(Vec<PairToJudge>, RuleCounts)> {
        if self.grouping.rule == Rule::Near {
            return Ok((found_pairs(near), summary.near.clone()));
        }
        let folder = folder_in(ctx.out, &self.grouping.rule.to_string())?;
        let mut task = ctx.task("comparing codes", "pairs");
        let hashed = ctx.input(&self.codes);
        let summary =
            group_images(&hashed, &self.grouping, &folder, &mut |done, total| task.observe(done, total))?;
        Ok((found_pairs(&read_groups(&folder.join(GROUPS))?), summary.of(self.grouping.rule).clone()))
    }

    /// The row for the report.
    fn entry(
        &self,
        (found, n_images): (&RuleCounts, u64),
        evaluation: &Evaluation,
        judged: Option<&Judged>,
        preset: Option<String>,
        source: &Source,
    ) -> Entry {
        let method = match self.grouping.rule {
            Rule::Exact => evaluation.methods.first(),
            Rule::Near => evaluation.methods.get(2),
            Rule::Phash => None,
        };
        let share = found.n_removed as f64 / (n_images as f64).max(1.0);
        let rate = judged.map(|judged| judged.false_positives);
        let mut facts = vec![format!(
            "{}, the largest of {}",
            counted(found.n_groups, "group"),
            counted(found.largest_group, "picture")
        )];
        if let Some(method) = method {
            let recall = evaluation.changes.iter().zip(&method.recall);
            let recall: Vec<String> =
                recall.map(|(change, share)| format!("{change} {:.1}", 100.0 * share.share)).collect();
            facts.push(format!(
                "of {} pictures that were changed, found among {}, in percent: {}",
                evaluation.n_changed,
                evaluation.n_background,
                recall.join(", ")
            ));
        }
        facts.extend(partly(evaluation, source));
        facts.push(match judged {
            Some(judged) => format!("by eye: {}", rate_text(judged)),
            None => "nobody has marked pairs on contact_sheet.html".to_owned(),
        });
        let preset = preset.map(|preset| format!(" ({preset})")).unwrap_or_default();
        Entry {
            cells: vec![
                Some(Cell { value: found.n_removed as f64, deviation: None }),
                Some(Cell::percent(share, None)),
                rate.map(|rate| Cell::percent(rate.share, None)),
            ],
            facts,
            data: format!("{source}, {} pictures", grouped(n_images as usize)),
            intervals: vec![None, None, rate.map(|rate| [100.0 * rate.low, 100.0 * rate.high])],
            ..Entry::new(
                Table::Duplicates,
                format!("Autoencoder{preset}, rule {}, this run", self.grouping.rule),
            )
        }
    }
}

/// The preset of the autoencoder that made codes, as its stage's record tells.
fn preset_of_codes(hashed: &Path) -> anyhow::Result<Option<String>> {
    let records = upstream(&[hashed.to_owned()])?;
    let preset = records.iter().find_map(|(_, record)| {
        record.config.pointer("/train_autoencoder/training/preset")?.as_str().map(str::to_owned)
    });
    Ok(preset)
}

/// Some of the contact sheet as pictures for the report.
fn figures(sheet: &Sheet, source: &Source, ctx: &Context<'_>) -> anyhow::Result<Vec<Figure>> {
    let found = (
        "groups.jpg",
        sheet.found_picture()?,
        "Near-duplicates that were found",
        "pairs drawn at random; the first picture of each stays",
    );
    let borderline = (
        "pairs.jpg",
        sheet.borderline_picture()?,
        "Pairs nearest to the threshold",
        "nearest to the threshold of the second look, on either side of it: not all of them are near-duplicates",
    );
    let mut figures = Vec::new();
    for (file, picture, title, which) in [found, borderline] {
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
