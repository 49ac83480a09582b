#pragma once

#define NAPI_VERSION 8
#include <node_api.h>

#include <csignal>
#include <string>

namespace odis {

/// Who is told while this thread waits for other processes, since nothing else can run on it. Plain data: the
/// thread's environment may be gone before the thread is.
struct WaitListener {
  bool listens = false;
  bool catchesSignals = false;
  napi_env env = nullptr;
  /// a JavaScript function (signal, sentence), kept for as long as the environment
  napi_ref function = nullptr;

  /// @param signal that has come, or 0 and a sentence that says who is waited for
  void tell(int signal, const std::string& sentence) const;
};
WaitListener& waitListener();

/// While it lives, signals that this process listens to (and that would end it otherwise) are kept here:
/// whoever listens to them does so on the thread that waits.
class CaughtSignals {
 public:
  CaughtSignals();
  ~CaughtSignals();
  CaughtSignals(const CaughtSignals&) = delete;
  CaughtSignals& operator=(const CaughtSignals&) = delete;
  /// One that has come, 0 for none.
  int take();

 private:
  struct sigaction before_[3];
  bool replaced_[3] = {};
};

}  // namespace odis
