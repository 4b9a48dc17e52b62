    .pushsection .data.dcgan_cuda, "aw", @progbits
    .balign 8
    .globl dcgan_cuda_functions
    .hidden dcgan_cuda_functions
dcgan_cuda_functions:
    .popsection
    .pushsection .text.dcgan_cuda, "ax", @progbits
