#pragma once

// Python packages of CUDA's runtime leave out the folder `crt`, which belongs to the compiler nvcc.
// Its headers only look at the compiler and name attributes; for g++ and clang on the host they come
// down to these. The real ones are taken where they are installed: this folder is searched last.
#define __host__
#define __device__
#define __global__
#define __shared__
#define __constant__
#define __managed__
#define __no_return__ __attribute__((noreturn))
#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline __attribute__((always_inline))
#define __inline_hint__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __align__(n)
#define __device_builtin__
#define __device_builtin_texture_type__
#define __device_builtin_surface_type__
#define __cudart_builtin__
#define __specialization_static
#define CUDARTAPI
#define CUDARTAPI_CDECL
