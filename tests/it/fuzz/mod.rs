//! Random input, made from a seed: YAML, kustomizations, patches and whole trees. It must not break
//! down, must not take long, and must mean the same each time and after printing.
//!
//! `TOWLINE_FUZZ_SEED=N` makes other input, `TOWLINE_FUZZ_SECONDS=N` goes on for so long with each
//! target. What fails is made small and written to `target/tmp`; add it to [`corpus`] or make it a
//! test of its own.

mod corpus;
mod generate;
mod minimise;
mod mutate;
mod properties;
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use self::random::Random;

/// Files by path: one input.
type Input = BTreeMap<String, Vec<u8>>;

/// What must hold; else why it does not.
type Property = fn(&Input) -> Result<(), String>;

/// What every ordinary run does with each target, if it can in [`BUDGET`].
const ROUNDS: u64 = 4_000;
const BUDGET: Duration = Duration::from_millis(2_300);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number")),
    )
}

/// Checks a property on input after input.
fn run(target: &str, make: fn(&[Input], &mut Random) -> Input, holds: Property) {
    let seed = number("TOWLINE_FUZZ_SEED").unwrap_or(1);
    let long = number("TOWLINE_FUZZ_SECONDS").map(Duration::from_secs);
    let corpus = corpus::all();
    let start = Instant::now();
    let mut round = 0;
    while long.map_or(round < ROUNDS && start.elapsed() < BUDGET, |long| {
        start.elapsed() < long
    }) {
        let input = make(&corpus, &mut Random::new(seed << 32 | round));
        if let Err(why) = holds(&input) {
            let (input, why) = minimise::minimised(input, why, holds);
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("fuzz-{target}-{seed}-{round}"));
            for (path, bytes) in &input {
                let path = dir.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            panic!(
                "{target}, seed {seed}, round {round}: {why}\nthe input is in {}",
                dir.display()
            );
        }
        round += 1;
    }
    assert!(round > 0, "nothing was tried");
}

/// One file of the corpus, changed.
fn text(corpus: &[Input], random: &mut Random) -> Vec<u8> {
    let mut file = || {
        let input = &corpus[random.below(corpus.len())];
        input.values().nth(random.below(input.len())).unwrap()
    };
    let (one, other) = (file(), file());
    mutate::mutate(one, other, random)
}

#[test]
fn yaml_is_an_error_or_means_the_same_when_it_is_printed() {
    let make =
        |corpus: &[Input], random: &mut Random| [("m.yaml".into(), text(corpus, random))].into();
    run("yaml", make, properties::yaml);
}

#[test]
fn a_kustomization_is_refused_with_its_place_or_rendered() {
    let make = |corpus: &[Input], random: &mut Random| {
        let mut input = around(random);
        let mut kustomization = generate::kustomization(random).into_bytes();
        if random.once_in(2) {
            kustomization = mutate::mutate(&kustomization, &text(corpus, random), random);
        }
        input.insert("kustomization.yaml".into(), kustomization);
        input
    };
    run("kustomization", make, properties::render);
}

#[test]
fn a_patch_is_refused_with_its_place_or_applied() {
    let make = |_: &[Input], random: &mut Random| {
        let mut input = around(random);
        let kustomization = [
            "patches: [{path: p.yaml}]",
            "patches: [{path: p.yaml, target: {kind: 'ConfigMap|Deployment'}}]",
            "patches: [{path: j.yaml, target: {name: '.*'}}]",
            "patchesStrategicMerge: [p.yaml]",
            "patchesJson6902: [{path: j.yaml, target: {version: v1, kind: ConfigMap, name: a}}]",
            "replacements: [{path: r.yaml}]",
        ];
        let text = format!(
            "resources: [a.yaml, b.yaml]\n{}\n",
            random.pick(&kustomization)
        );
        input.insert("kustomization.yaml".into(), text.into_bytes());
        for file in ["p.yaml", "j.yaml", "r.yaml", "a.yaml", "b.yaml"] {
            if random.once_in(4) {
                let changed = mutate::mutate(&input[file], &input["p.yaml"], random);
                input.insert(file.into(), changed);
            }
        }
        input
    };
    run("patch", make, properties::render);
}

#[test]
fn a_tree_is_refused_with_its_place_or_rendered() {
    let make = |corpus: &[Input], random: &mut Random| {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(3) {
            let path = input.keys().nth(random.below(input.len())).unwrap().clone();
            let changed = mutate::mutate(&input[&path], &text(corpus, random), random);
            if random.once_in(10) {
                input.insert(format!("{path}.yaml"), changed);
            } else {
                input.insert(path, changed);
            }
        }
        input
    };
    run("tree", make, properties::render);
}

/// The files that generated kustomizations name.
fn around(random: &mut Random) -> Input {
    let fixed = generate::AROUND
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    let made = [
        ("p.yaml", generate::strategic_patch(random)),
        ("j.yaml", generate::json_patch(random)),
        (
            "r.yaml",
            format!(
                "- {}\n- {}\n",
                generate::replacement(random),
                generate::replacement(random)
            ),
        ),
    ];
    fixed
        .chain(made.map(|(path, text)| (path.to_owned(), text.into_bytes())))
        .collect()
}
