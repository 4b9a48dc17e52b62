//! The report's page: what it holds, that it needs nothing else, and what a browser makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/browser.rs"]
mod browser;
mod common;

use std::collections::BTreeSet;

use common::Place;
use scraper::{ElementRef, Html, Selector};

/// Shapes → a tiny GAN → pixels with few and all labels → a page with every kind of thing on it; near-duplicates too.
const FULL: &str = r#"
name = "full"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 100
n_test = 40
[[stage]]
id = "train-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "test-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "gan"
[stage.train_gan]
images = "train-images"
[stage.train_gan.training]
architecture = "svhn32"
width = 0.05
batch_size = 16
max_steps = 12
log_every = 2
[[stage]]
id = "samples"
[stage.sample]
model = "gan"
n_images = 16
[[stage]]
id = "train-pixels"
[stage.extract_features]
images = "train-images"
[[stage]]
id = "test-pixels"
[stage.extract_features]
images = "test-images"
[[stage]]
id = "table-1"
[stage.cifar10_protocol]
train = "train-pixels"
test = "test-pixels"
[stage.cifar10_protocol.protocol]
cs = [1e-4, 1e-3, 1e-2]
n_folds = 2
n_per_class = 4
n_draws = 3
[[stage]]
id = "supervised"
[stage.supervised_search]
train = "train-images"
test = "test-images"
draws = { n_validation = 40, n_per_class = 3 }
search = { architecture = "svhn32", width = 0.05, n_trials = 3, epochs = 2, batch_sizes = [4, 8] }
[[stage]]
id = "rooms"
[stage.synthesize.rooms]
n_scenes = 30
n_planted = 20
size = 64
[[stage]]
id = "room-images"
[stage.import_images]
from = "rooms"
source.lsun.path = "lsun/rooms_lmdb"
resize = "min_resize_centre_crop(64)"
[[stage]]
id = "autoencoder"
[stage.train_autoencoder]
images = "room-images"
training.batch_size = 16
training.epochs = 4
[[stage]]
id = "codes"
[stage.hash_images]
from = "rooms"
source.lsun.path = "lsun/rooms_lmdb"
autoencoder = "autoencoder"
[[stage]]
id = "judged"
[stage.dedup_eval]
from = "rooms"
source.lsun.path = "lsun/rooms_lmdb"
codes = "codes"
grouping.rule = "near"
evaluation.n_changed = 5
[[stage]]
id = "report"
[stage.report]
title = "Shapes & <rooms>"
results = ["table-1", "supervised"]
samples = ["samples"]
figures = ["judged"]
"#;

fn page() -> String {
    let place = Place::new(FULL);
    place.stdout(&["run", "m.toml"]);
    let html = std::fs::read_to_string(place.path("runs/full/report/report.html")).unwrap();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
    html
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_is_whole_and_well_formed() {
    let html = page();
    let page = Html::parse_document(&html);
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    check_that_it_needs_nothing_else(&html, &page);
    check_that_it_can_be_read_without_eyes(&page);

    let headings: Vec<String> = all(&page, "h1, h2").iter().map(text).collect();
    let sections = [
        "Table 1",
        "Table 2",
        "Error against the number of labels",
        "How this differs from the paper",
        "Pictures",
    ];
    let more = ["Training", "Choice of C", "Random search", "Near-duplicates", "Stages", "Environment"];
    assert_eq!(headings, [&["Shapes & <rooms>"][..], &sections, &more].concat());
    assert_eq!(all(&page, "img").len(), 3, "samples, groups, pairs");
    let plots: Vec<String> = all(&page, ".plot figcaption strong").iter().map(text).collect();
    for title in
        ["Losses", "D(x) and D(G(z))", "Reconstruction", "Table 1: error against the number of labels"]
    {
        assert!(plots.iter().any(|plot| plot == title), "{title} in {plots:?}");
    }
    assert!(plots.iter().any(|plot| plot.starts_with("judged: how many bits")), "{plots:?}");
    assert_eq!(plots.iter().filter(|plot| plot.contains("cross-validation error")).count(), 2, "{plots:?}");
    for parameter in ["learning rate", "beta1", "l2", "dropout"] {
        assert!(plots.contains(&format!("supervised: {parameter}")), "{parameter} in {plots:?}");
    }
    assert_eq!(all(&page, ".graph .node").len(), 14);
    let stages = all(&page, "#stages ~ div.scroll tbody tr");
    assert_eq!(stages.len(), 14);
    assert!(text(&stages[0]).contains("shapes"));
    #[cfg(target_os = "linux")]
    assert!(stages.iter().all(|stage| text(stage).contains(" MiB")), "memory of every stage");
    // The header says what was measured here; what is published is cited with what it was measured with.
    let heads: Vec<String> = all(&page, "section:first-of-type thead th").iter().map(text).collect();
    assert_eq!(heads[1..3], ["accuracy, all 100 labels (%)", "accuracy, 4 per class (%)"], "{heads:?}");
    let caption = text(&all(&page, "section:first-of-type caption")[0]);
    let data = "This run: synthetic shapes, 100 training and 40 test pictures of 10 classes. The other rows are cited";
    assert!(caption.starts_with(data), "{caption}");
    let published = text(&all(&page, "section:first-of-type tbody tr")[0]);
    assert_eq!(published, "1 Layer K-means80.6 (all 50,000 labels)63.7 ± 0.7 (400 per class)4800");
    // Each departure is told once.
    let departures: Vec<String> = all(&page, "#differences ~ ul li").iter().map(text).collect();
    assert_eq!(departures.iter().collect::<BTreeSet<_>>().len(), departures.len(), "{departures:?}");
    assert!(
        departures[0]
            .starts_with("synthetic pictures, not the paper's data (shapes, rooms; bears on every row")
    );
}

/// No reference leads out of the file.
fn check_that_it_needs_nothing_else(html: &str, page: &Html) {
    assert!(
        !html.contains("http:")
            && !html.contains("https:")
            && !html.contains("url(")
            && !html.contains("@import")
    );
    assert!(all(page, "script, iframe, object, embed, base").is_empty());
    for element in all(page, "[src], [href], [srcset]") {
        let links = ["src", "href", "srcset"].into_iter().filter_map(|name| element.attr(name));
        for link in links {
            assert!(link.starts_with("data:") || link.starts_with('#'), "{link}");
        }
    }
}

/// Alternative texts, headings in order, names of regions and tables, links that lead somewhere.
fn check_that_it_can_be_read_without_eyes(page: &Html) {
    assert_eq!((all(page, "main").len(), all(page, "header").len(), all(page, "h1").len()), (1, 1, 1));
    assert!(all(page, "html[lang]").len() == 1 && all(page, "meta[name=viewport]").len() == 1);
    let ids: Vec<&str> = all(page, "[id]").iter().filter_map(|element| element.attr("id")).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "ids are unique");
    for image in all(page, "img") {
        assert!(image.attr("alt").is_some_and(|alt| alt.len() > 10), "{}", image.html().len());
    }
    for svg in all(page, "svg") {
        let is_named =
            svg.attr("role") == Some("img") && svg.attr("aria-label").is_some_and(|l| l.len() > 20);
        assert!(is_named || svg.attr("aria-hidden") == Some("true"), "{}", svg.html());
    }
    for table in all(page, "table") {
        assert_eq!(table.select(&Selector::parse("caption").unwrap()).count(), 1, "{}", table.html());
        assert!(table.select(&Selector::parse("th:not([scope])").unwrap()).next().is_none());
    }
    for link in all(page, "a[href]") {
        assert!(ids.contains(&link.attr("href").unwrap().trim_start_matches('#')), "{}", link.html());
    }
    for named in all(page, "[aria-labelledby]") {
        assert!(ids.contains(&named.attr("aria-labelledby").unwrap()), "{}", named.html());
    }
    let mut level = 0;
    for heading in all(page, "h1, h2, h3, h4") {
        let found = heading.value().name()[1..].parse::<usize>().unwrap();
        assert!(found <= level + 1, "{} follows a heading of level {level}", heading.html());
        level = found;
    }
}

#[test]
fn a_browser_shows_all_of_it_and_asks_for_nothing() {
    let Some(chromium) = browser::chromium() else { return };
    let html = page();
    for width in [1200, 390] {
        let seen = browser::open(&chromium, &html, width);
        assert_eq!(seen.console, Vec::<String>::new());
        // Less a scroll bar.
        assert!(
            (width - 20..=width).contains(&(seen.found["width"].as_u64().unwrap() as u32)),
            "{}",
            seen.found
        );
        assert_eq!(seen.found["overflow"], 0, "the page itself does not scroll sideways");
        assert_eq!((&seen.found["images"], &seen.found["graph"]), (&3.into(), &14.into()), "{}", seen.found);
        assert_eq!(seen.found["tables"], 5, "{}", seen.found);
        assert!(seen.found["plots"].as_u64().unwrap() >= 9, "{}", seen.found);
    }
    // What is looked for is found where it is.
    let bad = "<!DOCTYPE html><html><head></head><body><img src=\"http://example.com/a.png\">\
               <script>console.error(\"wrong\")</script>";
    let seen = browser::open(&chromium, bad, 500);
    for text in ["wrong", "http://example.com/a.png"] {
        assert!(seen.console.iter().any(|line| line.contains(text)), "{text} in {:?}", seen.console);
    }
}

/// A folder of pictures → a tiny GAN, scored once → samples → a report.
const OWN: &str = r#"
name = "own"
[[stage]]
id = "pictures"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(32)"
[[stage]]
id = "train"
[stage.train_gan]
images = "pictures"
[stage.train_gan.training]
architecture = "svhn32"
width = 0.05
batch_size = 8
epochs = 1000
max_steps = 20
sample_every_epochs = 1000
sample_every_steps = 5
log_every = 2
[[stage]]
id = "samples"
[stage.sample]
model = "train"
n_images = 16
[[stage]]
id = "report"
[stage.report]
title = "Mine"
samples = ["samples"]
"#;

#[test]
fn a_report_on_pictures_of_ones_own_begins_with_what_one_asks() {
    let place = Place::new(OWN);
    place.pictures("photos", 19);
    std::fs::write(place.path("photos/broken.jpg"), "no picture").unwrap();
    std::fs::write(place.path("photos/notes.txt"), "notes").unwrap();
    place.stdout(&["run", "m.toml"]);
    let folder = place.path("runs/own/report");
    let html = std::fs::read_to_string(folder.join("report.html")).unwrap();
    let page = Html::parse_document(&html);
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    check_that_it_needs_nothing_else(&html, &page);
    check_that_it_can_be_read_without_eyes(&page);
    let headings: Vec<String> = all(&page, "h2").iter().map(text).collect();
    assert_eq!(headings, ["Your pictures", "Training", "Stages", "Environment"]);
    let facts: Vec<String> = all(&page, ".facts tr").iter().map(text).collect();
    let expected = [
        "Picture files20, in photos",
        "Could not be read1; runs/own/pictures/bad.csv says why",
        "Other files, passed over1; runs/own/pictures/bad.csv lists them",
        "Left out as near-duplicatesnot looked for",
        "Trained on19 pictures of 32×32 pixels",
    ];
    assert_eq!(facts[..5], expected);
    assert!(
        facts[5].starts_with("Training") && facts[5].ends_with("20 minibatches, 10 passes over the pictures"),
        "{facts:?}"
    );
    assert!(facts[6].starts_with("All stages together") && facts[7].starts_with("Best score"), "{facts:?}");
    let beside: Vec<String> = all(&page, ".beside figcaption strong").iter().map(text).collect();
    assert_eq!(beside, ["Real pictures", "Samples"]);
    assert_eq!(all(&page, "img").len(), 3);
    assert!(text(&all(&page, "#own ~ figure figcaption")[0]).ends_with("after 5, 10, 15, 20 minibatches."));
    let next: Vec<String> = all(&page, "#next + ul li").iter().map(text).collect();
    assert!(
        next.iter()
            .any(|line| line.contains("raise max_steps") && line.contains("goes on from minibatch 20")),
        "{next:?}"
    );
    let command = "dcgan stage sample --out out/samples model=runs/own/train n_images=400 seed=1";
    assert!(next.iter().any(|line| line.ends_with(command)), "{next:?}");
    // The command works as it stands.
    place.stdout(&command.split(' ').skip(1).collect::<Vec<_>>());
    // The score was taken once: no curve.
    let plots: Vec<String> = all(&page, ".plot figcaption strong").iter().map(text).collect();
    assert!(plots.contains(&"Losses".to_owned()) && !plots.contains(&"Score".to_owned()), "{plots:?}");

    // Real pictures stand on the sheet as the network sees them, and the course is made of the first rows of the grids.
    let open = |path: &str| image::open(folder.join(path)).unwrap().to_rgb8();
    let real = open("own.real.png");
    assert_eq!(real.dimensions(), (8 * 34 - 2, 2 * 34 - 2));
    let course = open("own.course.png");
    assert_eq!(course.dimensions(), (8 * 34 - 2, 4 * 34 - 2));
    for (row, step) in [5, 10, 15, 20].into_iter().enumerate() {
        let grid = open(&format!("../train/samples/step_{step:07}.png"));
        let cut = |of: &image::RgbImage, y: u32| image::imageops::crop_imm(of, 0, y, 270, 32).to_image();
        assert!(cut(&course, 34 * row as u32) == cut(&grid, 0), "{step}");
    }
    let markdown = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(
        markdown.contains("| Picture files | 20, in photos |")
            && !markdown.contains("differs from the paper")
    );
}
