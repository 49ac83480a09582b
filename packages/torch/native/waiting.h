#pragma once

#include <csignal>
#include <functional>
#include <string>

namespace odis {

/// Told while this thread waits for other processes, since nothing else can run on it: a signal, or 0
/// and a sentence that says who is waited for.
struct WaitListener {
  std::function<void(int signal, const std::string& sentence)> tell;
  bool catchesSignals = false;
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
