    .popsection
    .pushsection .data.dcgan_cuda, "aw", @progbits
    .globl dcgan_cuda_functions_end
    .hidden dcgan_cuda_functions_end
dcgan_cuda_functions_end:
    .popsection
