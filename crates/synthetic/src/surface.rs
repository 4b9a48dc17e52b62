//! What the surfaces of a synthetic room look like.

use rand::Rng;

use super::canvas::{Colour, mix};
use super::colour::Blotches;

/// The pattern on a surface; lengths in metres.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern {
    /// One colour and its blotches.
    Plain,
    /// Boards of the given width, each of its own shade, with dark gaps.
    Boards(f32),
    /// Square tiles of the given side in two colours.
    Tiles(f32),
    /// Upright stripes of two colours with the given period.
    Stripes(f32),
    /// Dots of the second colour at the given distance.
    Dots(f32),
    /// Folds of a curtain with the given period.
    Folds(f32),
    /// A framed picture: blotches of two colours.
    Painting,
    /// A window with the given number of panes across: sky over a dark horizon. It shines by itself.
    Sky(u32),
    /// A lamp: shines by itself.
    Glow,
}

/// Pattern, two colours and a grain of blotches.
#[derive(Clone, Debug)]
pub(super) struct Surface {
    pub(super) pattern: Pattern,
    pub(super) colours: [Colour; 2],
    grain: Blotches,
    grain_strength: f32,
}

impl Surface {
    /// A surface with a random grain.
    pub(super) fn new(pattern: Pattern, colours: [Colour; 2], rng: &mut impl Rng) -> Self {
        Self { pattern, colours, grain: Blotches::new(7, rng), grain_strength: rng.random_range(0.01..0.06) }
    }

    /// Whether the colour is seen as it is, whatever light falls on it.
    pub(super) fn shines(&self) -> bool {
        matches!(self.pattern, Pattern::Sky(_) | Pattern::Glow)
    }

    /// The colour at `at` metres from the corner of a face of `extent` metres.
    pub(super) fn colour(&self, at: [f32; 2], extent: [f32; 2]) -> Colour {
        let [u, v] = at;
        let [first, second] = self.colours;
        let grain = self.grain_strength * self.grain.at(0.7 * u, 0.7 * v);
        let colour = match self.pattern {
            Pattern::Plain | Pattern::Glow => first,
            Pattern::Boards(width) => self.boards(u / width, v),
            Pattern::Tiles(side) => {
                let [a, b] = [u / side, v / side];
                let gap = [a, b].iter().any(|t| t.rem_euclid(1.0) < 0.05);
                let odd = (a.floor() + b.floor()).rem_euclid(2.0) >= 1.0;
                let tile = if odd { second } else { first };
                if gap { tile.map(|value| 0.7 * value) } else { tile }
            }
            Pattern::Stripes(period) => {
                mix(first, second, if (u / period).rem_euclid(1.0) < 0.4 { 1.0 } else { 0.0 })
            }
            Pattern::Dots(pitch) => {
                let off = |t: f32| (t / pitch).rem_euclid(1.0) - 0.5;
                mix(first, second, if off(u).hypot(off(v)) < 0.28 { 1.0 } else { 0.0 })
            }
            Pattern::Folds(period) => {
                first.map(|value| value * (0.8 + 0.2 * (u / period * std::f32::consts::TAU).sin()))
            }
            Pattern::Painting => self.painting([u / extent[0], v / extent[1]]),
            Pattern::Sky(n_panes) => self.sky([u / extent[0], v / extent[1]], n_panes),
        };
        if self.shines() { colour } else { colour.map(|value| value * (1.0 + 2.0 * grain)) }
    }

    fn boards(&self, across: f32, along: f32) -> Colour {
        let board = across.floor();
        if across - board < 0.06 {
            return self.colours[0].map(|value| 0.55 * value);
        }
        let share = 0.5 + 0.5 * self.grain.at(board * 0.37, 0.06 * along + board * 0.61);
        mix(self.colours[0], self.colours[1], share)
    }

    /// `at` in 0..=1 both ways.
    fn painting(&self, at: [f32; 2]) -> Colour {
        if at.iter().any(|t| (t - 0.5).abs() > 0.44) {
            return self.colours[0].map(|value| 0.4 * value);
        }
        let first = 2.5 * self.grain.at(at[0], at[1]);
        let second = self.grain.at(1.0 - 0.5 * at[1], 0.5 * at[0]);
        let colour = mix(self.colours[0], self.colours[1], (0.5 + first).clamp(0.0, 1.0));
        mix(colour, [0.95, 0.93, 0.88], (2.0 * second - 0.3).clamp(0.0, 1.0))
    }

    /// `at` in 0..=1 both ways, the second upwards.
    fn sky(&self, at: [f32; 2], n_panes: u32) -> Colour {
        let pane = (at[0] * n_panes as f32).rem_euclid(1.0);
        let bar = 0.03 * n_panes as f32;
        let border = at.iter().any(|t| (t - 0.5).abs() > 0.46);
        if border || (n_panes > 1 && (pane < bar || pane > 1.0 - bar)) || (at[1] - 0.55).abs() < 0.015 {
            return [0.85, 0.84, 0.82];
        }
        let horizon = 0.3 + 0.15 * self.grain.at(2.0 * at[0], 0.2);
        if at[1] < horizon {
            return self.colours[1]
                .map(|value| value * (0.8 + 0.4 * self.grain.at(3.0 * at[0], 3.0 * at[1])));
        }
        mix([0.97; 3], self.colours[0], ((at[1] - horizon) * 1.2).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn patterns_stay_near_their_colours() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let patterns = [
            Pattern::Plain,
            Pattern::Boards(0.1),
            Pattern::Tiles(0.3),
            Pattern::Stripes(0.2),
            Pattern::Dots(0.2),
            Pattern::Folds(0.1),
            Pattern::Painting,
            Pattern::Sky(2),
            Pattern::Glow,
        ];
        for pattern in patterns {
            let surface = Surface::new(pattern, [[0.5; 3], [0.3; 3]], &mut rng);
            let seen: Vec<f32> = (0..400)
                .flat_map(|idx| {
                    surface.colour([(idx % 20) as f32 * 0.05, (idx / 20) as f32 * 0.05], [1.0, 1.0])
                })
                .collect();
            assert!(seen.iter().all(|value| (0.0..=1.05).contains(value)), "{pattern:?}");
            let flat = seen.iter().all(|&value| value == seen[0]);
            assert_eq!(flat, matches!(pattern, Pattern::Glow), "{pattern:?}");
        }
    }
}
