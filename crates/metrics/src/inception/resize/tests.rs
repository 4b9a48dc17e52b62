use super::*;

/// Bytes that no two places share a pattern of.
fn picture(height: usize, width: usize) -> Picture {
    let pixels = (0..3 * height * width).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8);
    Picture { channels: 3, height, width, pixels: pixels.collect() }
}

const AT: [(usize, usize); 7] = [(0, 0), (0, 298), (298, 0), (298, 298), (100, 200), (149, 149), (13, 257)];

struct Case {
    size: (usize, usize),
    resize: Resize,
    /// Red, green and blue at [`AT`].
    at: [[f32; 3]; 7],
    /// Of all numbers, and of their squares.
    means: [f64; 2],
}

// def picture(h, w): return ((np.arange(h*w*3)*2654435761 % 2**32) >> 24).astype(np.uint8).reshape(3, h, w)
// p = torch.tensor(picture(h, w)).float()[None]
// a = 2 * F.interpolate(p / 255, size=(299, 299), mode="bilinear", align_corners=False)[0] - 1
// b = (interpolate_bilinear_2d_like_tensorflow1x(p, size=(299, 299), align_corners=False)[0] - 128) / 128   # torch_fidelity's
// c = (build_resizer("clean")(picture(h, w).transpose(1, 2, 0)).transpose(2, 0, 1) - 128) / 128              # cleanfid's
#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |size, resize, at, means| Case { size, resize, at, means };
    vec![
        case((4, 5), Resize::PytorchFid, [[-1.0, -0.278431, 0.443137], [-0.058824, 0.670588, -0.615686], [-0.458824, 0.262745, 0.984314], [0.490196, -0.796078, -0.07451], [0.679782, -0.305375, 0.16887], [-0.258823, 0.462745, -0.815686], [0.090275, 0.428684, -0.466588]], [-0.002614, 0.184464]),
        case((4, 5), Resize::TorchFidelity, [[-1.0, -0.28125, 0.4375], [-0.0625, 0.664062, -0.617188], [-0.460938, 0.257812, 0.976562], [0.484375, -0.796875, -0.078125], [0.237816, -0.137435, 0.125078], [-0.542911, 0.173103, -0.120898], [-0.03125, 0.695312, -0.585938]], [-0.019104, 0.170718]),
        case((4, 5), Resize::Clean, [[-1.0, -0.488261, 0.510402], [-0.180168, 0.796395, -0.734855], [-0.592177, 0.37548, 0.992188], [0.661353, -0.869777, -0.151027], [0.862826, -0.407586, 0.230566], [-0.261719, 0.456543, -0.941406], [0.041895, 0.463788, -0.544256]], [-0.005781, 0.249037]),
        case((320, 410), Resize::PytorchFid, [[-0.755472, -0.637825, -0.519954], [0.293329, 0.410976, 0.528623], [0.175928, 0.293575, 0.398131], [-0.006506, 0.117304, 0.235002], [-0.298584, -0.180937, -0.129641], [-0.060777, 0.060791, 0.180399], [-0.13761, -0.019963, 0.097685]], [1.7e-05, 0.102472]),
        case((320, 410), Resize::TorchFidelity, [[-1.0, -0.882812, -0.765625], [0.088655, 0.205843, 0.32303], [0.272692, 0.38988, 0.507067], [0.104124, 0.225879, 0.34327], [-0.186783, -0.069596, 0.012502], [-0.088145, 0.03305, 0.152728], [-0.336979, -0.219791, -0.102604]], [-0.003892, 0.101684]),
        case((320, 410), Resize::Clean, [[-0.623749, -0.506589, -0.389039], [0.122718, 0.246928, 0.371288], [0.036126, 0.153314, 0.335045], [0.098198, 0.220742, 0.338098], [-0.349396, -0.232204, -0.195816], [-0.072973, 0.091306, 0.279014], [-0.208676, -0.091767, 0.072097]], [-0.003917, 0.097789]),
        case((1, 1), Resize::PytorchFid, [[-1.0, 0.239216, -0.529412]; 7], [-0.430065, 0.445834]),
        case((1, 1), Resize::TorchFidelity, [[-1.0, 0.234375, -0.53125]; 7], [-0.432292, 0.445719]),
        case((1, 1), Resize::Clean, [[-1.0, 0.234375, -0.53125]; 7], [-0.432292, 0.445719]),
    ]
}

#[test]
fn resizing_agrees_with_pytorch_fid_torch_fidelity_and_clean_fid() {
    for Case { size, resize, at, means } in cases() {
        let mut out = vec![9.0; SIDE * SIDE * 3];
        resize.write(&picture(size.0, size.1), &mut out);
        for ((y, x), expected) in AT.into_iter().zip(at) {
            let ours = &out[(y * SIDE + x) * 3..][..3];
            let is_close = ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6);
            assert!(is_close, "{resize:?} of {size:?} at {y}, {x}: {ours:?}, expected {expected:?}");
        }
        let n = out.len() as f64;
        let ours = [1, 2].map(|power| out.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / n);
        let is_close = ours.iter().zip(means).all(|(a, b)| (a - b).abs() < 2e-6);
        assert!(is_close, "{resize:?} of {size:?}: {ours:?}, expected {means:?}");
    }
}

#[test]
fn a_picture_of_the_networks_size_stays_as_it_is() {
    let picture = picture(SIDE, SIDE);
    for resize in [Resize::PytorchFid, Resize::TorchFidelity, Resize::Clean] {
        let mut out = vec![9.0; SIDE * SIDE * 3];
        resize.write(&picture, &mut out);
        for (place, numbers) in out.chunks_exact(3).enumerate() {
            for (channel, number) in numbers.iter().enumerate() {
                let pixel = f32::from(picture.pixels[channel * SIDE * SIDE + place]);
                let expected = match resize {
                    Resize::PytorchFid => 2.0 * (pixel / 255.0) - 1.0,
                    _ => (pixel - 128.0) / 128.0,
                };
                assert_eq!(*number, expected, "{resize:?} at {place}");
            }
        }
    }
}

#[test]
fn a_grey_picture_is_repeated() {
    let grey = Picture { channels: 1, height: 2, width: 1, pixels: vec![0, 255] };
    let mut out = vec![9.0; SIDE * SIDE * 3];
    Resize::PytorchFid.write(&grey, &mut out);
    assert!(out.chunks_exact(3).all(|numbers| numbers[0] == numbers[1] && numbers[1] == numbers[2]));
    assert_eq!([out[0], out[out.len() - 1]], [-1.0, 1.0]);
}

#[test]
fn names_are_those_of_the_configuration() {
    let names = ["pytorch_fid", "torch_fidelity", "clean"];
    let all = [Resize::PytorchFid, Resize::TorchFidelity, Resize::Clean];
    for (name, resize) in names.into_iter().zip(all) {
        assert_eq!(serde_json::to_value(resize).unwrap(), name);
    }
    assert_eq!(Resize::default(), Resize::PytorchFid);
}
