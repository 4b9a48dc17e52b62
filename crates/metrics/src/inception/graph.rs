//! The graph of 2015 that FID is measured with: which convolutions it has, and how they follow each other.
//!
//! It is torchvision's `inception_v3`, but average pools do not count padding, and the last module has a max pool in the average
//! pool's place. Names are those of torchvision's state dict.

/// Rows and columns that the network reads.
pub(crate) const SIDE: usize = 299;
/// Numbers of a picture's features: pool3 in TensorFlow's graph.
pub const FEATURES: usize = 2048;
/// Classes of the classifier behind them.
pub const CLASSES: usize = 1008;

/// A convolution without a bias, its batch norm and a ReLU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conv {
    /// `NAME.conv.weight`, `NAME.bn.weight` and so on are its tensors.
    pub(crate) name: String,
    /// (o, c, kh, kw).
    pub(crate) shape: [usize; 4],
    pub(crate) stride: usize,
    /// Rows above and below, columns on either side.
    pub(crate) padding: [usize; 2],
}

/// A part of a module, whose maps follow those of the part before.
#[derive(Debug)]
pub(crate) enum Branch<T> {
    /// `first` one after another; then each of `last`, side by side.
    Chain {
        /// Those whose maps are not seen outside.
        first: Vec<T>,
        /// At least one.
        last: Vec<T>,
    },
    /// A 3×3 average pool that does not count padding, and a 1×1 convolution.
    Average(T),
    /// A 3×3 max pool of stride 1, and a 1×1 convolution.
    Max(T),
    /// A 3×3 max pool of stride 2.
    Halving,
}

/// Parts that read the same maps.
#[derive(Debug)]
pub(crate) struct Module<T> {
    pub(crate) branches: Vec<Branch<T>>,
}

/// The whole network up to the mean over the last maps.
#[derive(Debug)]
pub(crate) struct Graph<T> {
    /// A max pool of stride 2 follows each group.
    pub(crate) stem: [Vec<T>; 2],
    pub(crate) modules: Vec<Module<T>>,
}

impl<T> Graph<T> {
    /// The same graph of other things.
    pub(crate) fn try_map<U, E>(self, f: &mut impl FnMut(T, Finish) -> Result<U, E>) -> Result<Graph<U>, E> {
        let all = |convs: Vec<T>, f: &mut dyn FnMut(T, Finish) -> Result<U, E>| {
            convs.into_iter().map(|conv| f(conv, Finish::AtOnce)).collect::<Result<Vec<U>, E>>()
        };
        let [first, second] = self.stem;
        let stem = [all(first, f)?, all(second, f)?];
        let mut modules = Vec::new();
        for module in self.modules {
            let mut branches = Vec::new();
            for branch in module.branches {
                branches.push(match branch {
                    Branch::Chain { first, last } => {
                        Branch::Chain { first: all(first, f)?, last: all(last, f)? }
                    }
                    Branch::Average(conv) => Branch::Average(f(conv, Finish::AfterPool)?),
                    Branch::Max(conv) => Branch::Max(f(conv, Finish::AtOnce)?),
                    Branch::Halving => Branch::Halving,
                });
            }
            modules.push(Module { branches });
        }
        Ok(Graph { stem, modules })
    }
}

/// When a convolution's sums get their bias and ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// As they are made.
    AtOnce,
    /// After the average pool, which is computed behind the convolution, of fewer channels.
    AfterPool,
}

/// The network.
pub(crate) fn graph() -> Graph<Conv> {
    let stem = [
        vec![
            conv("Conv2d_1a_3x3", [32, 3, 3, 3], 2, [0, 0]),
            conv("Conv2d_2a_3x3", [32, 32, 3, 3], 1, [0, 0]),
            conv("Conv2d_2b_3x3", [64, 32, 3, 3], 1, [1, 1]),
        ],
        vec![
            conv("Conv2d_3b_1x1", [80, 64, 1, 1], 1, [0, 0]),
            conv("Conv2d_4a_3x3", [192, 80, 3, 3], 1, [0, 0]),
        ],
    ];
    let modules = vec![
        a("Mixed_5b", 192, 32),
        a("Mixed_5c", 256, 64),
        a("Mixed_5d", 288, 64),
        b("Mixed_6a", 288),
        c("Mixed_6b", 768, 128),
        c("Mixed_6c", 768, 160),
        c("Mixed_6d", 768, 160),
        c("Mixed_6e", 768, 192),
        d("Mixed_7a", 768),
        e("Mixed_7b", 1280, Branch::Average),
        e("Mixed_7c", 2048, Branch::Max),
    ];
    Graph { stem, modules }
}

fn conv(name: &str, shape: [usize; 4], stride: usize, padding: [usize; 2]) -> Conv {
    Conv { name: name.to_owned(), shape, stride, padding }
}

/// Convolutions of stride 1 whose padding keeps the size, unless the stride is 2 and there is none.
struct In<'a>(&'a str);

impl In<'_> {
    fn same(&self, name: &str, channels: [usize; 2], kernel: [usize; 2]) -> Conv {
        let [from, to] = channels;
        let shape = [to, from, kernel[0], kernel[1]];
        conv(&format!("{}.{name}", self.0), shape, 1, kernel.map(|k| k / 2))
    }

    fn one(&self, name: &str, from: usize, to: usize) -> Conv {
        self.same(name, [from, to], [1, 1])
    }

    fn halving(&self, name: &str, from: usize, to: usize) -> Conv {
        conv(&format!("{}.{name}", self.0), [to, from, 3, 3], 2, [0, 0])
    }
}

fn chain(first: Vec<Conv>, last: Conv) -> Branch<Conv> {
    Branch::Chain { first, last: vec![last] }
}

pub(crate) fn a(name: &str, from: usize, pooled: usize) -> Module<Conv> {
    let at = In(name);
    let branches = vec![
        chain(vec![], at.one("branch1x1", from, 64)),
        chain(vec![at.one("branch5x5_1", from, 48)], at.same("branch5x5_2", [48, 64], [5, 5])),
        chain(
            vec![at.one("branch3x3dbl_1", from, 64), at.same("branch3x3dbl_2", [64, 96], [3, 3])],
            at.same("branch3x3dbl_3", [96, 96], [3, 3]),
        ),
        Branch::Average(at.one("branch_pool", from, pooled)),
    ];
    Module { branches }
}

pub(crate) fn b(name: &str, from: usize) -> Module<Conv> {
    let at = In(name);
    let branches = vec![
        chain(vec![], at.halving("branch3x3", from, 384)),
        chain(
            vec![at.one("branch3x3dbl_1", from, 64), at.same("branch3x3dbl_2", [64, 96], [3, 3])],
            at.halving("branch3x3dbl_3", 96, 96),
        ),
        Branch::Halving,
    ];
    Module { branches }
}

pub(crate) fn c(name: &str, from: usize, inner: usize) -> Module<Conv> {
    let at = In(name);
    let (row, column) = ([1, 7], [7, 1]);
    let branches = vec![
        chain(vec![], at.one("branch1x1", from, 192)),
        chain(
            vec![at.one("branch7x7_1", from, inner), at.same("branch7x7_2", [inner, inner], row)],
            at.same("branch7x7_3", [inner, 192], column),
        ),
        chain(
            vec![
                at.one("branch7x7dbl_1", from, inner),
                at.same("branch7x7dbl_2", [inner, inner], column),
                at.same("branch7x7dbl_3", [inner, inner], row),
                at.same("branch7x7dbl_4", [inner, inner], column),
            ],
            at.same("branch7x7dbl_5", [inner, 192], row),
        ),
        Branch::Average(at.one("branch_pool", from, 192)),
    ];
    Module { branches }
}

pub(crate) fn d(name: &str, from: usize) -> Module<Conv> {
    let at = In(name);
    let branches = vec![
        chain(vec![at.one("branch3x3_1", from, 192)], at.halving("branch3x3_2", 192, 320)),
        chain(
            vec![
                at.one("branch7x7x3_1", from, 192),
                at.same("branch7x7x3_2", [192, 192], [1, 7]),
                at.same("branch7x7x3_3", [192, 192], [7, 1]),
            ],
            at.halving("branch7x7x3_4", 192, 192),
        ),
        Branch::Halving,
    ];
    Module { branches }
}

/// `pool` is what the graph of 2015 has in two kinds.
pub(crate) fn e(name: &str, from: usize, pool: fn(Conv) -> Branch<Conv>) -> Module<Conv> {
    let at = In(name);
    let pair = |a: &str, b: &str| vec![at.same(a, [384, 384], [1, 3]), at.same(b, [384, 384], [3, 1])];
    let branches = vec![
        chain(vec![], at.one("branch1x1", from, 320)),
        Branch::Chain {
            first: vec![at.one("branch3x3_1", from, 384)],
            last: pair("branch3x3_2a", "branch3x3_2b"),
        },
        Branch::Chain {
            first: vec![at.one("branch3x3dbl_1", from, 448), at.same("branch3x3dbl_2", [448, 384], [3, 3])],
            last: pair("branch3x3dbl_3a", "branch3x3dbl_3b"),
        },
        pool(at.one("branch_pool", from, 192)),
    ];
    Module { branches }
}
