// Decoding of JPEGs in memory: pixel values as stored, by libjpeg's exact transform and smooth upsampling, which
// are those of Pillow and libvips.
//
// Only pictures in one scan that decode without any complaint are decoded here; for all others the answer is "not
// mine", and the caller's general decoder has the last word. (Of many scans a small file can make hours of work.)
#define NAPI_VERSION 8
#include <node_api.h>

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>

extern "C" {
#include <jpeglib.h>
}

namespace odis::jpeg {

namespace {

#define ODIS_TEXT(x) #x
#define ODIS_EXPANDED(x) ODIS_TEXT(x)
#ifdef LIBJPEG_TURBO_VERSION
constexpr char kName[] = "libjpeg-turbo " ODIS_EXPANDED(LIBJPEG_TURBO_VERSION);
#else
constexpr char kName[] = "libjpeg " ODIS_EXPANDED(JPEG_LIB_VERSION);
#endif

/// libjpeg's errors end the attempt, its warnings are counted, and nothing is printed.
struct Listener : jpeg_error_mgr {
  std::jmp_buf out;
};

[[noreturn]] void leave(j_common_ptr info) { std::longjmp(static_cast<Listener*>(info->err)->out, 1); }
void count(j_common_ptr info, int level) {
  if (level < 0) info->err->num_warnings++;
}
void ignore(j_common_ptr) {}

struct Bytes {
  uint8_t* data;
  size_t length;
};

/// One attempt at a file.
class Attempt {
 public:
  explicit Attempt(Bytes file) : file(file) {
    info.err = jpeg_std_error(&listener);
    listener.error_exit = leave;
    listener.emit_message = count;
    listener.output_message = ignore;
  }
  ~Attempt() { jpeg_destroy_decompress(&info); }

  /// Reads the headers; whether this is a picture to decode here. No C++ object may live in the frames that
  /// libjpeg's errors jump over.
  bool open() {
    if (setjmp(listener.out)) return false;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file.data, file.length);
    if (jpeg_read_header(&info, TRUE) != JPEG_HEADER_OK) return false;
    const bool gray = info.num_components == 1 && info.jpeg_color_space == JCS_GRAYSCALE;
    const bool colour = info.num_components == 3 &&
                        (info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_RGB);
    info.out_color_space = JCS_RGB;
    if (jpeg_has_multiple_scans(&info) || info.arith_code) return false;
    return (gray || colour) && info.data_precision == 8 && listener.num_warnings == 0;
  }

  size_t bytes() const { return size_t(info.image_width) * info.image_height * 3; }
  int width() const { return static_cast<int>(info.image_width); }
  int height() const { return static_cast<int>(info.image_height); }

  /// Whether the picture is whole and in order; `to` may be half written otherwise.
  bool decode(uint8_t* to) {
    if (setjmp(listener.out)) return false;
    jpeg_start_decompress(&info);
    const size_t row = size_t(info.output_width) * 3;
    if (info.output_components != 3 || row * info.output_height != bytes()) return false;
    while (info.output_scanline < info.output_height) {
      JSAMPROW rows[8];
      for (unsigned i = 0; i < 8; i++) rows[i] = to + row * (info.output_scanline + i);
      const unsigned left = info.output_height - info.output_scanline;
      jpeg_read_scanlines(&info, rows, left < 8 ? left : 8);
    }
    return jpeg_finish_decompress(&info) && listener.num_warnings == 0;
  }

 private:
  Bytes file;
  jpeg_decompress_struct info = {};
  Listener listener;
};

napi_value refuse(napi_env env, const char* what) {
  napi_throw_type_error(env, nullptr, what);
  return nullptr;
}

bool bytesOf(napi_env env, napi_value value, Bytes& bytes) {
  bool is = false;
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, value, &type, &bytes.length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array)
    return false;
  bytes.data = static_cast<uint8_t*>(data);
  return true;
}

/// size(file) -> [width, height], or null where the file is not one to decode here
napi_value size(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value file, pair = nullptr, side;
  Bytes bytes;
  if (napi_get_cb_info(env, info, &argc, &file, nullptr, nullptr) != napi_ok || argc < 1 || !bytesOf(env, file, bytes))
    return refuse(env, "size: wanted a file's bytes");
  const std::unique_ptr<Attempt> attempt(new (std::nothrow) Attempt(bytes));
  if (!attempt || !attempt->open()) {
    napi_get_null(env, &pair);
    return pair;
  }
  napi_create_array_with_length(env, 2, &pair);
  for (uint32_t i = 0; i < 2; i++) {
    napi_create_int32(env, i == 0 ? attempt->width() : attempt->height(), &side);
    napi_set_element(env, pair, i, side);
  }
  return pair;
}

/// decode(file, to) -> whether the picture is whole, in order, and written as height x width x 3 bytes
napi_value decode(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value arguments[2], done = nullptr;
  Bytes file, to;
  if (napi_get_cb_info(env, info, &argc, arguments, nullptr, nullptr) != napi_ok || argc < 2 ||
      !bytesOf(env, arguments[0], file) || !bytesOf(env, arguments[1], to))
    return refuse(env, "decode: wanted a file's bytes and where to write");
  const std::unique_ptr<Attempt> attempt(new (std::nothrow) Attempt(file));
  bool whole = false;
  try {
    whole = attempt && attempt->open() && attempt->bytes() == to.length && attempt->decode(to.data);
  } catch (const std::bad_alloc&) {  // the general decoder will say so
  }
  napi_get_boolean(env, whole, &done);
  return done;
}

}  // namespace

}  // namespace odis::jpeg

NAPI_MODULE_INIT() {
  napi_value library;
  if (napi_create_string_utf8(env, odis::jpeg::kName, NAPI_AUTO_LENGTH, &library) == napi_ok)
    napi_set_named_property(env, exports, "library", library);
  const struct {
    const char* name;
    napi_callback body;
  } entries[] = {{"size", odis::jpeg::size}, {"decode", odis::jpeg::decode}};
  for (const auto& [name, body] : entries) {
    napi_value function;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, body, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, name, function) != napi_ok)
      napi_throw_error(env, nullptr, "internal: the addon could not export its functions");
  }
  return exports;
}
