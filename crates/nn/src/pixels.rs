//! uint8 pictures to activations and back: x/127.5 − 1, as the paper scales them.

use candle_core::{Device, Tensor};

use crate::{Result, device};

/// NCHW uint8 pixels of `[n, c, h, w]` → NHWC activations in [-1, 1]: f32, or bf16 on a GPU that was opened so.
///
/// # Errors
/// Where `pixels` does not hold exactly n·c·h·w values.
pub fn to_activations(pixels: &[u8], [n, c, h, w]: [usize; 4], device: &Device) -> Result<Tensor> {
    if pixels.len() != n * c * h * w {
        let message = format!("{} pixels where {n} pictures of {c}x{h}x{w} were expected", pixels.len());
        return Err(candle_core::Error::Msg(message).into());
    }
    Ok(device::kernels(device)?.activations(pixels, [n, c, h, w])?)
}

/// NHWC f32 activations in [-1, 1] → NCHW uint8 pixels, rounded to the nearest value and clipped.
pub fn to_pixels(activations: &Tensor) -> Result<Vec<u8>> {
    let values = activations.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
    let values = values.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_the_round_trip() {
        let pixels: Vec<u8> = (0..2 * 3 * 4 * 5).map(|i| (i * 7 % 256) as u8).collect();
        let activations = to_activations(&pixels, [2, 3, 4, 5], &Device::Cpu).unwrap();
        assert_eq!(activations.dims(), [2, 4, 5, 3]);
        let second_channel = activations.get(0).unwrap().get(0).unwrap().get(1).unwrap().to_vec1::<f32>();
        assert_eq!(second_channel.unwrap()[1], f32::from(pixels[20 + 1]) / 127.5 - 1.0);
        assert_eq!(to_pixels(&activations).unwrap(), pixels);
        assert!(to_activations(&pixels, [3, 3, 4, 5], &Device::Cpu).is_err());
    }
}
