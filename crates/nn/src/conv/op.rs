//! The kernels as candle operations.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, InplaceOp3, Layout, Result, Shape, Tensor};

use super::{geometry::Geometry, kernels};
#[cfg(feature = "cuda")]
use crate::cuda::{self, Direction};
use crate::storage::{slice, slice_mut};

pub(super) struct Conv2d(pub(super) Geometry);
pub(super) struct ConvTranspose2d(pub(super) Geometry);

fn images_shape(g: &Geometry) -> Shape {
    Shape::from((g.n, g.h, g.w, g.c))
}

fn maps_shape(g: &Geometry) -> Shape {
    Shape::from((g.n, g.oh, g.ow, g.o))
}

fn kernel_gradient(g: &Geometry, images: &Tensor, maps: &Tensor, shape: &Shape) -> Result<Tensor> {
    let gradient = Tensor::zeros(shape, images.dtype(), images.device())?;
    gradient.inplace_op3(images, maps, &KernelGradient { geometry: *g, adds: false })?;
    Ok(gradient)
}

/// Writes the kernel's gradient from images and maps' gradient, or adds it.
pub(super) struct KernelGradient {
    pub(super) geometry: Geometry,
    pub(super) adds: bool,
}

impl InplaceOp3 for KernelGradient {
    fn name(&self) -> &'static str {
        "kernel_gradient"
    }

    fn cpu_fwd(
        &self,
        gradient: &mut CpuStorage,
        gradient_layout: &Layout,
        images: &CpuStorage,
        images_layout: &Layout,
        maps: &CpuStorage,
        maps_layout: &Layout,
    ) -> Result<()> {
        let gradient = slice_mut(gradient, gradient_layout, self.name())?;
        let images = slice(images, images_layout, self.name())?;
        let maps = slice(maps, maps_layout, self.name())?;
        kernels::kernel_gradient(&self.geometry, images, maps, gradient, self.adds);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &mut CudaStorage,
        gradient_layout: &Layout,
        images: &CudaStorage,
        images_layout: &Layout,
        maps: &CudaStorage,
        maps_layout: &Layout,
    ) -> Result<()> {
        let gradient = (&*gradient, gradient_layout);
        cuda::kernel_gradient(
            &self.geometry,
            gradient,
            (images, images_layout),
            (maps, maps_layout),
            self.adds,
        )
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let images = slice(images, images_layout, self.name())?;
        let kernel = slice(kernel, kernel_layout, self.name())?;
        Ok((CpuStorage::F32(kernels::forward(&self.0, images, kernel)), maps_shape(&self.0)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        images_layout: &Layout,
        kernel: &CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::convolve(Direction::Forward, &self.0, (images, images_layout), (kernel, kernel_layout))
    }

    fn bwd(
        &self,
        images: &Tensor,
        kernel: &Tensor,
        _maps: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (g, gradient) = (&self.0, &gradient.contiguous()?);
        let images_gradient = images
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(&kernel.detach(), &ConvTranspose2d(*g)))
            .transpose()?;
        let kernel_gradient =
            kernel.track_op().then(|| kernel_gradient(g, images, gradient, kernel.shape())).transpose()?;
        Ok((images_gradient, kernel_gradient))
    }
}

impl CustomOp2 for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn cpu_fwd(
        &self,
        maps: &CpuStorage,
        maps_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let maps = slice(maps, maps_layout, self.name())?;
        let kernel = slice(kernel, kernel_layout, self.name())?;
        Ok((CpuStorage::F32(kernels::input_gradient(&self.0, maps, kernel)), images_shape(&self.0)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        maps: &CudaStorage,
        maps_layout: &Layout,
        kernel: &CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::convolve(Direction::Data, &self.0, (maps, maps_layout), (kernel, kernel_layout))
    }

    fn bwd(
        &self,
        maps: &Tensor,
        kernel: &Tensor,
        _images: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (g, gradient) = (&self.0, &gradient.contiguous()?);
        let maps_gradient =
            maps.track_op().then(|| gradient.apply_op2_no_bwd(&kernel.detach(), &Conv2d(*g))).transpose()?;
        let kernel_gradient =
            kernel.track_op().then(|| kernel_gradient(g, gradient, maps, kernel.shape())).transpose()?;
        Ok((maps_gradient, kernel_gradient))
    }
}
