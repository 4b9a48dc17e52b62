//! uint8 pictures to activations and back: x/127.5 − 1, as the paper scales them for a generator that ends in tanh, or x/255 for
//! one that ends in the sigmoid.

use candle_core::Tensor;

use crate::{
    Result,
    activation::Activation,
    arithmetic::blend,
    device::{self, Device},
};

/// NCHW uint8 pixels of `[n, c, h, w]` → NHWC activations in [-1, 1]: f32, or bf16 on a device that was opened so.
///
/// # Errors
/// Where `pixels` does not hold exactly n·c·h·w values.
pub fn to_activations(pixels: &[u8], [n, c, h, w]: [usize; 4], device: &Device) -> Result<Tensor> {
    if pixels.len() != n * c * h * w {
        let message = format!("{} pixels where {n} pictures of {c}x{h}x{w} were expected", pixels.len());
        return Err(candle_core::Error::Msg(message).into());
    }
    // A GPU gives them as it was opened.
    let activations = device::kernels(device)?.activations(pixels, [n, c, h, w])?;
    if device.is_cpu() { device.network_input(&activations) } else { Ok(activations) }
}

/// [`to_activations`] as a generator that ends in `output` draws them: in [0, 1] for the sigmoid, else in [-1, 1].
///
/// # Errors
/// As [`to_activations`].
pub fn to_activations_of(
    output: Activation,
    pixels: &[u8],
    size: [usize; 4],
    device: &Device,
) -> Result<Tensor> {
    let activations = to_activations(pixels, size, device)?;
    if output == Activation::Sigmoid {
        blend(&activations, 0.5, None, 0.5)?;
    }
    Ok(activations)
}

/// [`to_pixels`] of what a generator that ends in `output` draws: from [0, 1] for the sigmoid, else from [-1, 1].
pub fn to_pixels_of(output: Activation, activations: &Tensor) -> Result<Vec<u8>> {
    match output {
        Activation::Sigmoid => to_pixels(&activations.to_device(&Device::CPU)?.affine(2.0, -1.0)?),
        _ => to_pixels(activations),
    }
}

/// NHWC f32 activations in [-1, 1] → NCHW uint8 pixels, rounded to the nearest value and clipped.
pub fn to_pixels(activations: &Tensor) -> Result<Vec<u8>> {
    let values = activations.to_device(&Device::CPU)?.to_dtype(candle_core::DType::F32)?;
    let values = values.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_the_round_trip() {
        let pixels: Vec<u8> = (0..2 * 3 * 4 * 5).map(|i| (i * 7 % 256) as u8).collect();
        let activations = to_activations(&pixels, [2, 3, 4, 5], &Device::CPU).unwrap();
        assert_eq!(activations.dims(), [2, 4, 5, 3]);
        let second_channel = activations.get(0).unwrap().get(0).unwrap().get(1).unwrap().to_vec1::<f32>();
        assert_eq!(second_channel.unwrap()[1], f32::from(pixels[20 + 1]) / 127.5 - 1.0);
        assert_eq!(to_pixels(&activations).unwrap(), pixels);
        let unit = to_activations_of(Activation::Sigmoid, &pixels, [2, 3, 4, 5], &Device::CPU).unwrap();
        let first = unit.flatten_all().unwrap().to_vec1::<f32>().unwrap()[1];
        assert!((first - f32::from(pixels[20]) / 255.0).abs() < 1e-6);
        assert_eq!(to_pixels_of(Activation::Sigmoid, &unit).unwrap(), pixels);
        assert!(to_activations(&pixels, [3, 3, 4, 5], &Device::CPU).is_err());
    }
}
