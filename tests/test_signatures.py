"""What is read of kernels' arguments in their text."""

import shutil
import subprocess
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refcnn.errors import BackendError
from refcnn.opencl.runtime import finding, kernels, signatures

#: Build options with which each kernel file can be built, where it needs any.
OPTIONS = {
    **{stem: [("-DCHUNK=4",)] for stem in ("adadelta", "adagrad", "adam", "adamax", "adamw", "rmsprop", "sgd")},
    "cast": [("-DCHUNK=4", "-DFROM=float", "-DTO=int"), ("-DCHUNK=4", "-DFROM=int", "-DTO=uchar", "-DIS_TRUTH")],
    "conv2d_depthwise": [("-DWIDTH=8", "-DTERMS=9"), ("-DWIDTH=16", "-DTERMS=9", "-DTAP_ROWS=7")],
    "conv2d_direct": [("-DOUTPUTS=2", "-DROWS=4", "-DTERMS=5")],
    "conv2d_gpu": [("-DGROUP=8",)],
    "conv2d_depthwise_gpu": [("-DIMAGES=4", "-DGROUP=8", "-DTERMS=9")],
    "conv2d_winograd": [("-DTILE=4", "-DWIDTH=16", "-DVECTORS=2"), ("-DTILE=2", "-DWIDTH=8", "-DVECTORS=1")],
    "along": [("-DCHUNK=4",), ("-DCHUNK=4", "-DWEIGHTED", "-DTERMS=2")],
    "dropout": [("-DCHUNK=4",)],
    "elementwise": [
        ("-DCHUNK=4", "-DWIDTH=1", "-DOPERATION=leaky_relu", "-DSLOPE=leaky_relu_slope", "-DATTRIBUTES=1"),
        ("-DCHUNK=4", "-DWIDTH=8", "-DOPERATION=tanh", "-DSLOPE=tanh_slope", "-DATTRIBUTES=0"),
        ("-DCHUNK=4", "-DWIDTH=4", "-DOPERATION=divide", "-DOF_A=divide_of_a", "-DOF_B=divide_of_b"),
        ("-DCHUNK=4", "-DWIDTH=1", "-DOPERATION=subtract", "-DOF_B=subtract_of_b", "-DA_STEP=1", "-DB_STEP=0"),
        ("-DCHUNK=4", "-DWIDTH=1", "-DTYPE=long", "-DINTEGER", "-DOPERATION=power", "-DA_STEP=0", "-DB_STEP=1"),
        ("-DCHUNK=4", "-DWIDTH=1", "-DTYPE=uchar", "-DRESULT=uchar", "-DOPERATION=logical_not", "-DSLOPE="),
    ],
    "indexing": [
        ("-DCHUNK=4", "-DWORD=uint", "-DINDEX=int"),
        ("-DCHUNK=4", "-DWORD=uchar", "-DINDEX=long", "-DPER_ELEMENT"),
    ],
    "local_response_normalization": [("-DCHUNK=4", "-DWIDTH=8"), ("-DCHUNK=4", "-DWIDTH=1", "-DTHREE_QUARTERS")],
    "loss": [("-DCHUNK=4", "-DLOSS=smoothed_l1", "-DOF_X=smoothed_l1_of_x", "-DOF_T=smoothed_l1_of_t")],
    "matrix_product": [(), ("-DRESULTS=16", "-DPARTS=16")],
    "matrix_product_cpu": [
        ("-DWIDTH=16", "-DROWS=8", "-DVECTORS=3", "-DTERMS=8", "-DPACKED"),
        ("-DWIDTH=4", "-DROWS=2", "-DVECTORS=2", "-DTERMS=8", "-DADJACENT_ROWS"),
    ],
    "matrix_product_gpu": [
        ("-DGROUP_X=2", "-DGROUP_Y=2", "-DROWS=8", "-DCOLUMNS=4", "-DTERMS=4", "-DBUFFERS=2", "-DSUM_TERMS=8"),
        (
            "-DGROUP_X=2",
            "-DGROUP_Y=2",
            "-DROWS=4",
            "-DCOLUMNS=4",
            "-DTERMS=2",
            "-DBUFFERS=1",
            "-DSUM_TERMS=8",
            "-DADJACENT_ROWS",
        ),
    ],
    "moving": [
        ("-DCHUNK=4", "-DWORD=uint", "-DRUN=3"),
        ("-DCHUNK=4", "-DWORD=uint", "-DRUN=1", "-DSMALL_LAST=3"),
        ("-DCHUNK=4", "-DWORD=uchar", "-DRUN=1", "-DSMALL_INNER=2"),
        ("-DCHUNK=4", "-DWORD=ulong", "-DRUN=1", "-DTILE=8", "-DLINE=8", "-DSTREAM=1"),
        ("-DCHUNK=4", "-DWORD=uint", "-DRUN=1", "-DTILE=16", "-DLINE=16", "-DSTREAM=0"),
    ],
    "multiply_adds": [("-DWIDTH=16", "-DCHAINS=10"), ("-DWIDTH=1", "-DCHAINS=10")],
    "normalization": [
        ("-DCHUNK=4", "-DWIDTH=8", "-DCOLUMNS=9", "-DBY_COLUMN=0", "-DCENTRED=1", "-DMASKED=1"),
        ("-DCHUNK=4", "-DWIDTH=1", "-DCOLUMNS=1", "-DBY_COLUMN=1", "-DCENTRED=0", "-DMASKED=0"),
    ],
    "one_hot": [("-DCHUNK=4", "-DWORD=uint", "-DINDEX=int")],
    "pooling_cpu": [("-DWIDTH=8",), ("-DWIDTH=16",)],
    "pooling_rows_cpu": [("-DWIDTH=4",), ("-DWIDTH=16",)],
    "reduction": [("-DCHUNK=4",)],
    "relu": [("-DCHUNK=4",)],
    "softmax": [("-DSTRIDE=1",), ("-DSTRIDE=inner",)],
    "spatial_dropout": [("-DCHUNK=4",)],
    "where": [("-DCHUNK=4", "-DWORD=uint", "-DSTEP_OF_CONDITION=1", "-DSTEP_OF_A=0", "-DSTEP_OF_B=1")],
}
OPTIONS["conv2d_winograd_weights"] = OPTIONS["conv2d_winograd"]
STEMS = sorted(path.stem for path in kernels.kernel_folder().glob("*.cl") if "__kernel" in path.read_text())
BUILDS = [(stem, options) for stem in STEMS for options in OPTIONS.get(stem, [()])]


def read(text, *options, kernel="f"):
    found = signatures.signature("for_test", kernel, text, options).parameters
    return [(one.name, one.dtype and one.dtype.name, one.is_array) for one in found]


def _type(parameter):
    """Return what a compiler calls the type of a parameter, without the width of a vector."""
    short = {"uint8": "uchar", "uint32": "uint", "uint64": "ulong", "int32": "int", "float32": "float", "int64": "long"}
    return short[parameter.dtype.name] + "*" * parameter.is_array


@pytest.mark.skipif(not finding.usable(), reason="no usable OpenCL device; see the README for how to get one")
@pytest.mark.parametrize(("stem", "options"), BUILDS, ids=[f"{stem} {' '.join(options)}" for stem, options in BUILDS])
def test_every_kernel_is_read_as_a_compiler_reads_it(stem, options):
    import pyopencl as cl

    device = next(one for one in finding.usable() if not one.is_simulator)
    text = kernels.source(stem)
    context = cl.Context([device._device])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What is optimised has the same arguments, and takes Intel's compiler several times as long.
        built = cl.Program(context, text).build([*options, "-cl-kernel-arg-info", "-cl-opt-disable"], cache_dir=False)
    for kernel in built.all_kernels():
        found = signatures.signature(stem, kernel.function_name, text, options).parameters
        information = cl.kernel_arg_info
        # PoCL gives names that functions of OpenCL C have too, such as length, a beginning of its own.
        names = [kernel.get_arg_info(place, information.NAME).removeprefix("_cl_") for place in range(kernel.num_args)]
        types = [kernel.get_arg_info(place, information.TYPE_NAME) for place in range(kernel.num_args)]
        assert [parameter.name for parameter in found] == names
        plain = [
            kind.replace("vector", "float").rstrip("*").rstrip("0123456789") + "*" * ("*" in kind) for kind in types
        ]
        assert [_type(parameter) for parameter in found] == plain
        constant = cl.kernel_arg_type_qualifier.CONST
        qualifiers = [kernel.get_arg_info(place, information.TYPE_QUALIFIER) for place in range(kernel.num_args)]
        assert [one.is_read_only for one in found] == [bool(found & constant) for found in qualifiers]


def test_comments_and_layout_do_not_matter():
    text = """
        // __kernel void f(int wrong)
        /* __kernel void f(int wrong) */
        kernel
        __attribute__((reqd_work_group_size(8, 1, 1)))
        void f(__global const float *restrict x /* rows, columns */, const int n, // how many
               global uint* y, unsigned int k, __global const unsigned char *restrict z)
        { if (n) { y[0] = "}"[0]; } }
        __kernel void none(void) {}
    """
    assert read(text) == [
        ("x", "float32", True),
        ("n", "int32", False),
        ("y", "uint32", True),
        ("k", "uint32", False),
        ("z", "uint8", True),
    ]
    assert read(text, kernel="none") == []


def test_macros_of_the_text_and_of_the_options_are_followed():
    text = r"""
        #define EACH(DO) DO(0) DO(1)
        #define SLOT(n) __global TYPE *w##n, \
            int count##n,
        #define NAME(of) JOIN(of, _forward)
        #define JOIN(a, b) a##b
        __kernel void NAME(OPERATION)(EACH(SLOT) float last) {}
        #undef EACH
        #define EACH(DO)
        __kernel void f(EACH(SLOT) float last) {}
        #define KERNEL(name, ...) __kernel void name(int of_##name, __VA_ARGS__) { while (1) {} }
        KERNEL(g, float a, float b)
    """
    slots = [("w0", "int32", True), ("count0", "int32", False), ("w1", "int32", True), ("count1", "int32", False)]
    options = "-DTYPE=int", "-DOPERATION=softplus"
    assert read(text, *options, kernel="softplus_forward") == [*slots, ("last", "float32", False)]
    assert read(text, *options) == [("last", "float32", False)]
    assert read(text, *options, kernel="g") == [
        ("of_g", "int32", False),
        ("a", "float32", False),
        ("b", "float32", False),
    ]


@pytest.mark.parametrize(
    ("options", "name", "kind"),
    [
        ((), "c", "float32"),
        (("-DWIDTH=4",), "b", "float32"),
        (("-DWIDTH=8",), "a", "float32"),
        (("-DWIDTH=8", "-DHALF"), "a", "float16"),
    ],
)
def test_conditions_are_followed(options, name, kind):
    text = """
        #if defined(WIDTH) && WIDTH * 2 >= 16 || 0 != 0
        #ifdef HALF
        typedef half8 vector;
        #else
        typedef float8 vector __attribute__((aligned(4)));
        #endif
        __kernel void f(__global const vector *a) {
        #elif (WIDTH == 4)
        __kernel void f(__global float4 *b) {
        #elif !defined HALF
        __kernel void f(__global float *c) {
        #endif
        }
    """
    assert read(text, *options) == [(name, kind, True)]


def test_types_that_the_text_does_not_tell_are_not_known():
    assert read("__kernel void f(__global record *a, record b) {}") == [("a", None, True), ("b", None, False)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "void f(int n) {}",
        "__kernel void g(int n) {}",
        "__kernel void f(int n",
        "__kernel vo f(int n) {}",
        "typedef ;",
        "#endif",
        "#define",
        "#if 1 / 0",
    ],
)
def test_a_kernel_that_cannot_be_read_is_an_error(text):
    with pytest.raises(BackendError, match="for_test.cl"):
        read(text)


numbers = st.integers(0, 9).map(str)
operators = st.sampled_from(["||", "&&", "==", "!=", "<", ">", "<=", ">=", "+", "-", "*"])
conditions = st.recursive(
    numbers,
    lambda inner: (
        st.tuples(inner, operators, inner).map(" ".join)
        | inner.map("({})".format)
        | st.tuples(st.sampled_from("!-"), numbers).map("".join)
    ),
)


@example(["1 == (0 || 2)", "(3 && 2) == 1"])
@given(st.lists(conditions, min_size=1, max_size=40))
def test_conditions_mean_what_they_mean_to_a_compiler(texts):
    compiler = shutil.which("cpp")
    if compiler is None:
        pytest.skip("no C preprocessor")
    text = "".join(
        f"#if {condition}\n__kernel void f{number}(int yes) {{}}\n#else\n__kernel void f{number}(int no) {{}}\n#endif\n"
        for number, condition in enumerate(texts)
    )
    plain = subprocess.run([compiler, "-P", "-"], input=text, capture_output=True, text=True, check=True).stdout
    for number in range(len(texts)):
        assert read(text, kernel=f"f{number}") == read(plain, kernel=f"f{number}")
