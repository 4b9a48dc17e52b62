// A function of a library: what calls it jumps to where `load` found it, or to `absent`.
.macro function name
    .pushsection .rodata.dcgan_cuda, "a", @progbits
.Lname_\name:
    .asciz "\name"
    .popsection
    .pushsection .data.dcgan_cuda, "aw", @progbits
    .quad .Lname_\name
.Lplace_\name:
    .quad .Labsent_\name
    .popsection
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    adrp x16, .Lplace_\name
    ldr x16, [x16, :lo12:.Lplace_\name]
    br x16
.Labsent_\name:
    adrp x0, .Lname_\name
    add x0, x0, :lo12:.Lname_\name
    b {absent}
.endm
