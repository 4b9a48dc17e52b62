use super::*;

fn config() -> SearchConfig {
    SearchConfig {
        architecture: ArchitectureName::Svhn32,
        width: 0.03,
        n_trials: 5,
        learning_rate: [1e-3, 1e-2],
        beta1: beta1(),
        l2: l2(),
        dropout: dropout(),
        batch_sizes: vec![8, 16],
        epochs: 4,
        patience: 2,
        check_every: 1,
        seed: 2,
    }
}

#[test]
fn parameters_are_drawn_from_their_ranges_by_seed_and_number_alone() {
    let config = SearchConfig { n_trials: 64, learning_rate: learning_rate(), ..config() };
    let all: Vec<Parameters> = (0..2000).map(|trial| config.parameters(trial)).collect();
    let other = SearchConfig { n_trials: 3, epochs: 9, width: 1.0, ..config.clone() };
    assert_eq!(other.parameters(1), all[1]);
    assert_ne!(all[0], all[1]);
    assert_ne!(SearchConfig { seed: 3, ..config.clone() }.parameters(1), all[1]);
    // Half are below the middle of a range, for three standard deviations of 2000 draws.
    let below = |of: fn(&Parameters) -> f64, middle: f64, [low, high]: [f64; 2]| {
        assert!(all.iter().all(|parameters| (low..=high).contains(&of(parameters))));
        let n = all.iter().filter(|parameters| of(parameters) < middle).count();
        assert!(n.abs_diff(1000) < 3 * 23, "{n}");
    };
    below(|p| p.learning_rate, 1e-3, [1e-4, 1e-2]);
    below(|p| p.l2, 1e-4, [1e-6, 1e-2]);
    below(|p| p.beta1, 0.7, [0.5, 0.9]);
    below(|p| p.dropout, 0.35, [0.0, 0.7]);
    below(|p| p.batch_size as f64, 12.0, [8.0, 16.0]);
    let none = SearchConfig { l2: [0.0; 2], dropout: [0.5; 2], ..config };
    assert_eq!((none.parameters(7).l2, none.parameters(7).dropout), (0.0, 0.5));
    // Whatever is left out, the others stay.
    assert_eq!(none.parameters(7).learning_rate, all[7].learning_rate);
}

#[test]
fn settings_out_of_range_are_named() {
    let told = |config: SearchConfig| config.validate().unwrap_err().to_string();
    let cases = [
        (
            SearchConfig { learning_rate: [1e-2, 1e-3], ..config() },
            "`learning_rate`: expected [low, high], both above 0, found [0.01, 0.001]",
        ),
        (SearchConfig { learning_rate: [0.0, 1e-3], ..config() }, "`learning_rate`"),
        (SearchConfig { beta1: [0.5, 1.0], ..config() }, "`beta1`"),
        (SearchConfig { l2: [0.0, 1e-3], ..config() }, "`l2`"),
        (SearchConfig { dropout: [f64::NAN, 0.5], ..config() }, "`dropout`"),
        (SearchConfig { batch_sizes: vec![], ..config() }, "`batch_sizes`"),
        (SearchConfig { batch_sizes: vec![16, 1], ..config() }, "`batch_sizes`"),
        (SearchConfig { n_trials: 0, ..config() }, "`n_trials`: expected at least 1, found 0"),
        (SearchConfig { width: 0.0, ..config() }, "`width`"),
        (
            SearchConfig { architecture: ArchitectureName::Mnist28, ..config() },
            "`architecture`: expected a discriminator of convolutions and one linear layer, without labels, found mnist28",
        ),
    ];
    for (config, expected) in cases {
        let message = told(config);
        assert!(message.starts_with(expected), "{message}");
    }
    config().validate().unwrap();
}
