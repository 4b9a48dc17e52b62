//! A small ray caster for rooms: blocks and ellipsoids in a box, lit by a few lamps that cast shadows.

use super::canvas::{Canvas, Colour};
use super::surface::Surface;

/// A point or direction in metres: x to the right, y upwards, z away from the viewer.
pub(super) type Vec3 = [f32; 3];

/// The shape that fills a solid's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Block,
    Ellipsoid,
}

/// A thing in the room.
#[derive(Clone, Debug)]
pub(super) struct Solid {
    pub(super) form: Form,
    pub(super) min: Vec3,
    pub(super) max: Vec3,
    pub(super) surface: Surface,
}

/// A lamp without size; its light falls to half at `reach` metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    pub(super) at: Vec3,
    pub(super) colour: Colour,
    pub(super) reach: f32,
}

/// Where the viewer stands and looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    pub(super) at: Vec3,
    /// Radians to the right and upwards of straight ahead.
    pub(super) yaw: f32,
    pub(super) pitch: f32,
    /// Focal length in units of half the picture's shorter side.
    pub(super) focal: f32,
}

/// A furnished room, its corner at the origin.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) size: Vec3,
    /// Side walls, floor and ceiling, back wall: the box's faces across x, y and z, low and high.
    pub(super) shell: [[Surface; 2]; 3],
    pub(super) solids: Vec<Solid>,
    pub(super) lights: Vec<Light>,
    pub(super) ambient: Colour,
    pub(super) camera: Camera,
}

/// A half line, with 1 / direction, which every block asks for.
struct Ray {
    from: Vec3,
    direction: Vec3,
    inverse: Vec3,
}

impl Ray {
    fn new(from: Vec3, direction: Vec3) -> Self {
        let inverse = direction.map(|speed| 1.0 / if speed.abs() < 1e-9 { 1e-9 } else { speed });
        Self { from, direction, inverse }
    }
}

struct Hit<'a> {
    distance: f32,
    normal: Vec3,
    /// Corner that texture coordinates are counted from, and the axis the face is across.
    corner: Vec3,
    extent: Vec3,
    axis: usize,
    surface: &'a Surface,
}

impl Scene {
    /// The picture of the room, edges smoothed by four more rays a pixel where neighbours differ.
    pub(super) fn render(&self, width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::new(width, height, [0.0; 3]);
        canvas.paint(&|x, y, _| self.seen_at(x, y, width, height));
        let sharp = canvas.clone();
        for row in 0..height {
            for column in 0..width {
                let here = sharp.pixels[row * width + column];
                let around = [
                    row.saturating_sub(1) * width + column,
                    (row + 1).min(height - 1) * width + column,
                    row * width + column.saturating_sub(1),
                    row * width + (column + 1).min(width - 1),
                ];
                if around.iter().any(|&idx| differ(here, sharp.pixels[idx])) {
                    let (x, y) = (column as f32, row as f32);
                    let places = [[0.375, 0.125], [0.875, 0.375], [0.125, 0.625], [0.625, 0.875]];
                    let rays = places.map(|[dx, dy]| self.seen_at(x + dx, y + dy, width, height));
                    canvas.pixels[row * width + column] =
                        std::array::from_fn(|channel| rays.iter().map(|ray| ray[channel]).sum::<f32>() / 4.0);
                }
            }
        }
        canvas
    }

    /// The colour seen through a point of the picture.
    fn seen_at(&self, x: f32, y: f32, width: usize, height: usize) -> Colour {
        let half = 0.5 * width.min(height) as f32;
        let right = (x - 0.5 * width as f32) / half;
        let up = (0.5 * height as f32 - y) / half;
        let camera = &self.camera;
        let (sin, cos) = camera.pitch.sin_cos();
        let [up, ahead] = [up * cos + camera.focal * sin, camera.focal * cos - up * sin];
        let (sin, cos) = camera.yaw.sin_cos();
        let direction = normalised([right * cos + ahead * sin, up, ahead * cos - right * sin]);
        let hit = self.nearest(&Ray::new(camera.at, direction));
        let at: Vec3 = std::array::from_fn(|axis| camera.at[axis] + hit.distance * direction[axis]);
        self.shade(&hit, at)
    }

    fn shade(&self, hit: &Hit<'_>, at: Vec3) -> Colour {
        let [first, second] = [[2, 1], [0, 2], [0, 1]][hit.axis];
        let on_face = [at[first] - hit.corner[first], at[second] - hit.corner[second]];
        let colour = hit.surface.colour(on_face, [hit.extent[first], hit.extent[second]]);
        if hit.surface.shines() {
            return colour;
        }
        // Light from above is a little stronger than from below, as if reflected by the ceiling.
        let mut light = self.ambient.map(|value| value * (0.85 + 0.15 * hit.normal[1]));
        for lamp in &self.lights {
            let towards: Vec3 = std::array::from_fn(|axis| lamp.at[axis] - at[axis]);
            let distance = dot(towards, towards).sqrt().max(1e-3);
            let direction = towards.map(|value| value / distance);
            let facing = dot(direction, hit.normal);
            if facing > 0.0 && !self.hidden(at, hit.normal, direction, distance) {
                let strength = facing / (1.0 + (distance / lamp.reach).powi(2));
                light = std::array::from_fn(|channel| light[channel] + strength * lamp.colour[channel]);
            }
        }
        std::array::from_fn(|channel| colour[channel] * light[channel])
    }

    /// Whether something that does not shine itself stands between a point and a lamp.
    fn hidden(&self, at: Vec3, normal: Vec3, direction: Vec3, distance: f32) -> bool {
        let ray = Ray::new(std::array::from_fn(|axis| at[axis] + 2e-3 * normal[axis]), direction);
        self.solids
            .iter()
            .filter(|solid| !solid.surface.shines())
            .any(|solid| solid.enter(&ray).is_some_and(|(entry, _)| entry < distance - 1e-2))
    }

    /// The first thing in the ray's way; at last it is the room's own shell.
    fn nearest(&self, ray: &Ray) -> Hit<'_> {
        let leave = |axis: usize| {
            let wall = if ray.inverse[axis] > 0.0 { self.size[axis] } else { 0.0 };
            (wall - ray.from[axis]) * ray.inverse[axis]
        };
        let axis = (0..3).min_by(|&a, &b| leave(a).total_cmp(&leave(b))).unwrap_or(2);
        let high = usize::from(ray.inverse[axis] > 0.0);
        let mut normal = [0.0; 3];
        normal[axis] = if high == 1 { -1.0 } else { 1.0 };
        let surface = &self.shell[axis][high];
        let mut best =
            Hit { distance: leave(axis), normal, corner: [0.0; 3], extent: self.size, axis, surface };
        for solid in &self.solids {
            if let Some((distance, normal)) = solid.enter(ray)
                && distance < best.distance
            {
                let axis = (0..3).max_by(|&a, &b| normal[a].abs().total_cmp(&normal[b].abs())).unwrap_or(2);
                let extent = std::array::from_fn(|axis| solid.max[axis] - solid.min[axis]);
                best = Hit { distance, normal, corner: solid.min, extent, axis, surface: &solid.surface };
            }
        }
        best
    }
}

impl Solid {
    /// Distance to where the ray enters, ahead of its start, and the outward normal there.
    fn enter(&self, ray: &Ray) -> Option<(f32, Vec3)> {
        match self.form {
            Form::Block => self.enter_block(ray),
            Form::Ellipsoid => self.enter_ellipsoid(ray),
        }
    }

    /// Slab by slab: the last entry must come before the first exit.
    fn enter_block(&self, ray: &Ray) -> Option<(f32, Vec3)> {
        let (mut entry, mut exit, mut axis) = (f32::NEG_INFINITY, f32::INFINITY, 0);
        for slab in 0..3 {
            let a = (self.min[slab] - ray.from[slab]) * ray.inverse[slab];
            let b = (self.max[slab] - ray.from[slab]) * ray.inverse[slab];
            if a.min(b) > entry {
                (entry, axis) = (a.min(b), slab);
            }
            exit = exit.min(a.max(b));
        }
        if entry <= 0.0 || entry > exit {
            return None;
        }
        let mut normal = [0.0; 3];
        normal[axis] = -ray.inverse[axis].signum();
        Some((entry, normal))
    }

    /// A quadratic in the space where the ellipsoid is the unit ball.
    fn enter_ellipsoid(&self, ray: &Ray) -> Option<(f32, Vec3)> {
        let radius: Vec3 = std::array::from_fn(|axis| 0.5 * (self.max[axis] - self.min[axis]));
        let o: Vec3 = std::array::from_fn(|axis| {
            (ray.from[axis] - 0.5 * (self.max[axis] + self.min[axis])) / radius[axis]
        });
        let d: Vec3 = std::array::from_fn(|axis| ray.direction[axis] / radius[axis]);
        let (a, b, c) = (dot(d, d), dot(o, d), dot(o, o) - 1.0);
        let discriminant = b * b - a * c;
        if discriminant < 0.0 {
            return None;
        }
        let entry = (-b - discriminant.sqrt()) / a;
        let normal = std::array::from_fn(|axis| (o[axis] + entry * d[axis]) / radius[axis]);
        (entry > 0.0).then(|| (entry, normalised(normal)))
    }
}

fn differ(a: Colour, b: Colour) -> bool {
    (0..3).any(|channel| (a[channel] - b[channel]).abs() > 0.04)
}

fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn normalised(a: Vec3) -> Vec3 {
    let length = dot(a, a).sqrt();
    a.map(|value| value / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::Pattern;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn solid(form: Form) -> Solid {
        let surface = Surface::new(Pattern::Plain, [[0.5; 3]; 2], &mut ChaCha8Rng::seed_from_u64(0));
        Solid { form, min: [-1.0, -2.0, 4.0], max: [1.0, 2.0, 6.0], surface }
    }

    /// Along z, forwards or backwards.
    fn enter(solid: &Solid, from: Vec3, direction: f32) -> Option<(f32, Vec3)> {
        solid.enter(&Ray::new(from, [0.0, 0.0, direction]))
    }

    #[test]
    fn rays_enter_where_they_should() {
        for form in [Form::Block, Form::Ellipsoid] {
            let solid = solid(form);
            let (distance, normal) = enter(&solid, [0.0; 3], 1.0).unwrap();
            assert!((distance - 4.0).abs() < 1e-5, "{form:?}");
            assert!((normal[2] + 1.0).abs() < 1e-5, "{form:?}");
            assert!(enter(&solid, [0.0; 3], -1.0).is_none());
            assert!(enter(&solid, [0.0, 3.0, 0.0], 1.0).is_none());
        }
        // Only the block reaches its corners.
        assert!(enter(&solid(Form::Block), [0.9, 1.9, 0.0], 1.0).is_some());
        assert!(enter(&solid(Form::Ellipsoid), [0.9, 1.9, 0.0], 1.0).is_none());
    }
}
