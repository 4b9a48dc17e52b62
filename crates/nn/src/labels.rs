//! Labels joined to a layer's input, as in conditional networks: one-hot values behind the units of a row, or a constant plane for
//! each class behind the channels of maps.

use candle_core::{Device, Tensor};

use crate::{Result, device};

/// Labels as rows (n, n_classes) of zeros with a one at the label.
///
/// # Errors
/// Where a label is not below `n_classes`.
pub fn one_hot(labels: &[u32], n_classes: usize, device: &Device) -> Result<Tensor> {
    let mut rows = vec![0.0; labels.len() * n_classes];
    for (row, &label) in rows.chunks_exact_mut(n_classes.max(1)).zip(labels) {
        let Some(value) = row.get_mut(label as usize) else {
            let message = format!("label {label} where {n_classes} classes were expected");
            return Err(candle_core::Error::Msg(message).into());
        };
        *value = 1.0;
    }
    device::tensor(rows, &[labels.len(), n_classes], device)
}

/// `x` (n, …, c) and labels (n, k) → (n, …, c + k): each row's labels stand behind every one of its c channels.
///
/// # Errors
/// Where `x` and `labels` are of different numbers of rows.
pub(crate) fn join(x: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (n, k) = labels.dims2()?;
    if x.rank() < 2 || x.dim(0)? != n {
        let message = format!("{n} rows of labels for an input of shape {:?}", x.dims());
        return Err(candle_core::Error::Msg(message).into());
    }
    let kernels = device::kernels(x.device())?;
    debug_assert!(k > 0);
    Ok(kernels.join(&x.contiguous()?, &kernels.cast(&labels.contiguous()?, x.dtype())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flat, tensor};

    #[test]
    fn labels_stand_behind_units_and_behind_the_channels_of_maps() {
        let labels = one_hot(&[1, 0], 3, &Device::Cpu).unwrap();
        assert_eq!(flat(&labels), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        let units = Tensor::new(&[[5f32, 6.0], [7.0, 8.0]], &Device::Cpu).unwrap();
        let expected = [5.0, 6.0, 0.0, 1.0, 0.0, 7.0, 8.0, 1.0, 0.0, 0.0];
        assert_eq!(flat(&join(&units, &labels).unwrap()), expected);

        let maps = tensor(&[2, 3, 4, 5]);
        let planes = labels.reshape((2, 1, 1, 3)).unwrap().broadcast_as((2, 3, 4, 3)).unwrap();
        let expected = Tensor::cat(&[&maps, &planes.contiguous().unwrap()], 3).unwrap();
        let joined = join(&maps, &labels).unwrap();
        assert_eq!((joined.dims(), flat(&joined)), (&[2, 3, 4, 8][..], flat(&expected)));

        assert!(one_hot(&[3], 3, &Device::Cpu).unwrap_err().to_string().contains("label 3"));
        assert!(join(&tensor(&[3, 5]), &labels).unwrap_err().to_string().contains("2 rows of labels"));
    }
}
