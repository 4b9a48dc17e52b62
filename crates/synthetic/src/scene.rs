//! Random rooms: shell, light and furniture.

use rand::Rng;

use super::canvas::Colour;
use super::colour::random_colour;
use super::raycast::{Camera, Form, Light, Scene, Solid, Vec3};
use super::surface::{Pattern, Surface};

/// The walls that furniture can stand against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    Back,
    Left,
    Right,
}

/// A random furnished room.
pub(super) fn random_scene(rng: &mut impl Rng) -> Scene {
    let size = [rng.random_range(3.0..5.2), rng.random_range(2.4..3.1), rng.random_range(3.4..5.6_f32)];
    let camera = Camera {
        at: [size[0] * rng.random_range(0.3..0.7), rng.random_range(1.0..1.8), rng.random_range(0.1..0.6)],
        yaw: rng.random_range(-0.45..0.45),
        pitch: rng.random_range(-0.22..0.02),
        focal: rng.random_range(1.0..1.6),
    };
    let warmth = rng.random_range(-0.12..0.12_f32);
    let ambient = [1.0 + warmth, 1.0, 1.0 - warmth].map(|value| value * rng.random_range(0.35..0.5));
    let mut scene =
        Scene { size, shell: shell(rng), solids: Vec::new(), lights: Vec::new(), ambient, camera };
    let walls = [Wall::Back, Wall::Left, Wall::Right];
    let bed_wall = walls[rng.random_range(0..3)];
    let n_windows = rng.random_range(1..=2);
    for (idx, wall) in walls.into_iter().enumerate() {
        if (idx + rng.random_range(0..2)) % 3 < n_windows {
            scene.add_window(wall, rng);
        }
    }
    scene.add_bed(bed_wall, rng);
    scene.add_pictures(rng);
    let other = walls.into_iter().filter(|&wall| wall != bed_wall && wall != Wall::Back);
    for wall in other.collect::<Vec<_>>() {
        if rng.random_bool(0.6) {
            scene.add_cupboard(wall, rng);
        }
    }
    if rng.random_bool(0.6) {
        scene.add_rug(rng);
    }
    if rng.random_bool(0.5) {
        scene.add_plant(rng);
    }
    scene.add_ceiling_lamp(rng);
    scene
}

/// A random colour for furniture or walls with luminance in the given range.
fn paint(low: f32, high: f32, rng: &mut impl Rng) -> Colour {
    let level = rng.random_range(low..high);
    random_colour(0.6, level, rng)
}

/// A brown of random lightness.
fn wood(rng: &mut impl Rng) -> Colour {
    let level = rng.random_range(0.12..0.7);
    [1.25, 0.95, 0.68].map(|value| value * level * rng.random_range(0.92..1.08))
}

fn shell(rng: &mut impl Rng) -> [[Surface; 2]; 3] {
    let wall_colours = [paint(0.3, 0.92, rng), paint(0.3, 0.92, rng)];
    let wall_pattern = match rng.random_range(0..6) {
        0 => Pattern::Stripes(rng.random_range(0.15..0.5)),
        1 => Pattern::Dots(rng.random_range(0.2..0.5)),
        _ => Pattern::Plain,
    };
    let wall = Surface::new(wall_pattern, wall_colours, rng);
    // One wall in three rooms has a colour of its own.
    let back = if rng.random_bool(0.33) {
        Surface::new(Pattern::Plain, [paint(0.2, 0.85, rng); 2], rng)
    } else {
        wall.clone()
    };
    let floor = match rng.random_range(0..4) {
        0 => Surface::new(Pattern::Plain, [paint(0.15, 0.7, rng); 2], rng),
        1 => Surface::new(
            Pattern::Tiles(rng.random_range(0.25..0.6)),
            [paint(0.5, 0.9, rng), paint(0.15, 0.8, rng)],
            rng,
        ),
        _ => Surface::new(Pattern::Boards(rng.random_range(0.09..0.22)), [wood(rng), wood(rng)], rng),
    };
    let ceiling = Surface::new(Pattern::Plain, [[rng.random_range(0.8..0.95); 3]; 2], rng);
    [[wall.clone(), wall], [floor, ceiling], [back.clone(), back]]
}

impl Scene {
    /// Length of a wall in metres.
    fn length(&self, wall: Wall) -> f32 {
        if wall == Wall::Back { self.size[0] } else { self.size[2] }
    }

    /// Adds a solid against a wall: `along` it, `out` from it and `up` from the floor, each from–to in metres.
    fn add(
        &mut self,
        form: Form,
        wall: Wall,
        along: [f32; 2],
        out: [f32; 2],
        up: [f32; 2],
        surface: Surface,
    ) {
        let [width, _, depth] = self.size;
        let (x, z) = match wall {
            Wall::Back => (along, [depth - out[1], depth - out[0]]),
            Wall::Left => (out, along),
            Wall::Right => ([width - out[1], width - out[0]], along),
        };
        self.solids.push(Solid { form, min: [x[0], up[0], z[0]], max: [x[1], up[1], z[1]], surface });
    }

    fn add_window(&mut self, wall: Wall, rng: &mut impl Rng) {
        let length = self.length(wall);
        let width = rng.random_range(0.8..1.9_f32).min(length - 1.0);
        let middle = rng.random_range(0.5 + 0.5 * width..length - 0.5 - 0.5 * width + 1e-3);
        let up = [rng.random_range(0.7..1.1), self.size[1] - rng.random_range(0.15..0.5)];
        let day = rng.random_range(0.45..1.0_f32);
        let sky = [0.55 * day, 0.75 * day, day];
        let green = [rng.random_range(0.15..0.35), rng.random_range(0.25..0.45), rng.random_range(0.1..0.25)];
        let glass = Surface::new(Pattern::Sky(rng.random_range(1..=3)), [sky, green], rng);
        let along = [middle - 0.5 * width, middle + 0.5 * width];
        self.add(Form::Block, wall, along, [0.0, 0.03], up, glass);
        if rng.random_bool(0.7) {
            let cloth = [paint(0.2, 0.9, rng); 2];
            let curtain = Surface::new(Pattern::Folds(rng.random_range(0.06..0.14)), cloth, rng);
            let hem = if rng.random_bool(0.5) { 0.05 } else { up[0] - 0.1 };
            let share = rng.random_range(0.12..0.35) * width;
            for side in [[along[0] - 0.15, along[0] + share], [along[1] - share, along[1] + 0.15]] {
                self.add(Form::Block, wall, side, [0.04, 0.1], [hem, up[1] + 0.1], curtain.clone());
            }
        }
        let [sill, lintel] = up;
        let height = 0.5 * (sill + lintel);
        let at = match wall {
            Wall::Back => [middle, height, self.size[2] - 0.5],
            Wall::Left => [0.5, height, middle],
            Wall::Right => [self.size[0] - 0.5, height, middle],
        };
        let strength = rng.random_range(0.5..1.1);
        self.lights.push(Light { at, colour: [0.93, 1.0, 1.08].map(|value| value * strength), reach: 2.2 });
    }

    fn add_bed(&mut self, wall: Wall, rng: &mut impl Rng) {
        let (width, length) = (rng.random_range(1.0..1.9), rng.random_range(1.8..2.15));
        let reach = self.length(wall) - 0.5 * width;
        let nearest = if wall == Wall::Back { 0.6 } else { 1.6 };
        let middle = rng.random_range((nearest + 0.5 * width).min(reach - 0.1)..reach);
        let along = [middle - 0.5 * width, middle + 0.5 * width];
        let top = rng.random_range(0.4..0.62);
        let timber = [wood(rng), paint(0.1, 0.8, rng)][rng.random_range(0..2)];
        let frame = Surface::new(Pattern::Plain, [timber; 2], rng);
        let headboard = rng.random_range(0.75..1.3);
        self.add(
            Form::Block,
            wall,
            [along[0] - 0.04, along[1] + 0.04],
            [0.0, 0.08],
            [0.0, headboard],
            frame.clone(),
        );
        self.add(Form::Block, wall, along, [0.08, length], [0.08, top - 0.2], frame);
        let sheet = Surface::new(Pattern::Plain, [paint(0.6, 0.95, rng); 2], rng);
        self.add(Form::Block, wall, along, [0.08, length - 0.03], [top - 0.2, top], sheet.clone());
        let colours = [paint(0.15, 0.9, rng), paint(0.15, 0.9, rng)];
        let pattern = match rng.random_range(0..5) {
            0 => Pattern::Stripes(rng.random_range(0.1..0.4)),
            1 => Pattern::Dots(rng.random_range(0.12..0.3)),
            2 => Pattern::Tiles(rng.random_range(0.15..0.35)),
            _ => Pattern::Plain,
        };
        let blanket = Surface::new(pattern, colours, rng);
        let turned_down = rng.random_range(0.5..1.1);
        let sides = [along[0] - 0.04, along[1] + 0.04];
        self.add(Form::Block, wall, sides, [turned_down, length + 0.02], [0.18, top + 0.05], blanket);
        let n_pillows = if width > 1.35 { 2 } else { 1 };
        let share = width / n_pillows as f32;
        for idx in 0..n_pillows {
            let start = along[0] + share * idx as f32;
            self.add(
                Form::Ellipsoid,
                wall,
                [start + 0.06, start + share - 0.06],
                [0.08, 0.5],
                [top - 0.06, top + 0.2],
                sheet.clone(),
            );
        }
        self.add_bedside(wall, [along[0] - 0.55, along[0] - 0.1], rng);
        self.add_bedside(wall, [along[1] + 0.1, along[1] + 0.55], rng);
    }

    /// A small table with a lamp, where there is room for it.
    fn add_bedside(&mut self, wall: Wall, along: [f32; 2], rng: &mut impl Rng) {
        let height = rng.random_range(0.4..0.65);
        let colours = [wood(rng), wood(rng)];
        let table = Surface::new(Pattern::Plain, colours, rng);
        let (lit, wanted) = (rng.random_bool(0.6), rng.random_bool(0.7));
        let shade_colour = paint(0.75, 0.97, rng);
        if !wanted || along[0] < 0.0 || along[1] > self.length(wall) {
            return;
        }
        self.add(Form::Block, wall, along, [0.02, 0.42], [0.0, height], table.clone());
        let middle = 0.5 * (along[0] + along[1]);
        self.add(
            Form::Block,
            wall,
            [middle - 0.02, middle + 0.02],
            [0.2, 0.24],
            [height, height + 0.3],
            table,
        );
        let pattern = if lit { Pattern::Glow } else { Pattern::Plain };
        let form = if rng.random_bool(0.5) { Form::Block } else { Form::Ellipsoid };
        let shade = Surface::new(pattern, [shade_colour; 2], rng);
        let up = [height + 0.22, height + 0.48];
        self.add(form, wall, [middle - 0.14, middle + 0.14], [0.08, 0.36], up, shade);
        if lit {
            let at = self.solids.last().map_or([0.0; 3], |solid| {
                std::array::from_fn(|axis| 0.5 * (solid.min[axis] + solid.max[axis]))
            });
            let strength = rng.random_range(0.5..1.0);
            self.lights.push(Light {
                at,
                colour: [1.1, 0.9, 0.62].map(|value| value * strength),
                reach: 0.9,
            });
        }
    }

    fn add_pictures(&mut self, rng: &mut impl Rng) {
        for _ in 0..rng.random_range(0..4) {
            let wall = [Wall::Back, Wall::Back, Wall::Left, Wall::Right][rng.random_range(0..4)];
            let (width, height) = (rng.random_range(0.3..0.9), rng.random_range(0.3..0.7));
            let middle = rng.random_range(0.6..self.length(wall) - 0.6);
            let low = rng.random_range(1.25..1.6);
            let surface = Surface::new(Pattern::Painting, [paint(0.1, 0.9, rng), paint(0.1, 0.9, rng)], rng);
            let along = [middle - 0.5 * width, middle + 0.5 * width];
            self.add(Form::Block, wall, along, [0.0, 0.02], [low, low + height], surface);
        }
    }

    /// A wardrobe, a chest of drawers, or a door.
    fn add_cupboard(&mut self, wall: Wall, rng: &mut impl Rng) {
        let (width, out, up) = match rng.random_range(0..3) {
            0 => (rng.random_range(0.9..1.6), 0.55, rng.random_range(1.7..2.2)),
            1 => (rng.random_range(0.8..1.4), 0.45, rng.random_range(0.7..1.1)),
            _ => (0.85, 0.05, 2.05),
        };
        let middle = rng.random_range(1.6..self.length(wall) - 0.5 * width);
        let colour = if rng.random_bool(0.5) { wood(rng) } else { paint(0.2, 0.9, rng) };
        let surface = Surface::new(Pattern::Tiles(rng.random_range(0.35..0.6)), [colour; 2], rng);
        self.add(
            Form::Block,
            wall,
            [middle - 0.5 * width, middle + 0.5 * width],
            [0.0, out],
            [0.0, up],
            surface,
        );
    }

    fn add_rug(&mut self, rng: &mut impl Rng) {
        let half = [rng.random_range(0.5..1.2), rng.random_range(0.4..0.9)];
        let middle = [self.size[0] * rng.random_range(0.3..0.7), rng.random_range(1.4..2.6)];
        let pattern = match rng.random_range(0..3) {
            0 => Pattern::Stripes(rng.random_range(0.15..0.4)),
            1 => Pattern::Dots(rng.random_range(0.2..0.4)),
            _ => Pattern::Painting,
        };
        let surface = Surface::new(pattern, [paint(0.15, 0.9, rng), paint(0.15, 0.9, rng)], rng);
        let min: Vec3 = [middle[0] - half[0], 0.0, middle[1] - half[1]];
        let max = [middle[0] + half[0], 0.02, middle[1] + half[1]];
        self.solids.push(Solid { form: Form::Block, min, max, surface });
    }

    fn add_plant(&mut self, rng: &mut impl Rng) {
        let along = [self.size[0] - 0.55, self.size[0] - 0.1];
        let along = if rng.random_bool(0.5) { along } else { [0.1, 0.55] };
        let pot = Surface::new(Pattern::Plain, [paint(0.2, 0.8, rng); 2], rng);
        self.add(Form::Block, Wall::Back, [along[0] + 0.08, along[1] - 0.08], [0.15, 0.42], [0.0, 0.35], pot);
        for _ in 0..rng.random_range(4..9) {
            let leaf =
                [rng.random_range(0.08..0.25), rng.random_range(0.25..0.5), rng.random_range(0.05..0.2)];
            let surface = Surface::new(Pattern::Plain, [leaf; 2], rng);
            let (x, z, y) =
                (rng.random_range(-0.15..0.15), rng.random_range(0.1..0.3), rng.random_range(0.4..1.1));
            self.add(
                Form::Ellipsoid,
                Wall::Back,
                [along[0] + 0.1 + x, along[1] - 0.1 + x],
                [z, z + 0.25],
                [y, y + 0.3],
                surface,
            );
        }
    }

    fn add_ceiling_lamp(&mut self, rng: &mut impl Rng) {
        let lit = rng.random_bool(0.6);
        let [width, height, depth] = self.size;
        let at = [width * rng.random_range(0.35..0.65), height - rng.random_range(0.15..0.6), 0.6 * depth];
        let radius = rng.random_range(0.1..0.25);
        let pattern = if lit { Pattern::Glow } else { Pattern::Plain };
        let surface = Surface::new(pattern, [[1.0, 0.97, 0.88]; 2], rng);
        let (min, max) = (at.map(|t| t - radius), at.map(|t| t + radius));
        let form = if rng.random_bool(0.5) { Form::Ellipsoid } else { Form::Block };
        self.solids.push(Solid { form, min, max, surface });
        if lit || self.lights.is_empty() {
            let strength = rng.random_range(0.5..1.0);
            self.lights.push(Light {
                at,
                colour: [1.05, 1.0, 0.85].map(|value| value * strength),
                reach: 2.5,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn rooms_are_lit_and_furnished_within_their_walls() {
        for seed in 0..60 {
            let scene = random_scene(&mut ChaCha8Rng::seed_from_u64(seed));
            assert!(!scene.lights.is_empty() && scene.solids.len() >= 5, "seed {seed}");
            for axis in 0..3 {
                assert!((0.0..scene.size[axis]).contains(&scene.camera.at[axis]), "seed {seed}");
                assert!(scene.solids.iter().all(|solid| solid.min[axis] < solid.max[axis]), "seed {seed}");
            }
            let canvas = scene.render(24, 24);
            let mean = canvas.pixels.iter().flatten().sum::<f32>() / (24.0 * 24.0 * 3.0);
            assert!((0.05..0.95).contains(&mean), "seed {seed}: mean {mean}");
        }
    }
}
