#include "waiting.h"

#include <atomic>

namespace odis {

namespace {

constexpr int kSignals[3] = {SIGINT, SIGTERM, SIGHUP};
std::atomic<unsigned> came{0};
static_assert(std::atomic<unsigned>::is_always_lock_free, "a signal's handler may not wait");

void note(int signal) { came.fetch_or(1u << signal); }

}  // namespace

WaitListener& waitListener() {
  thread_local WaitListener listener;
  return listener;
}

void WaitListener::tell(int signal, const std::string& sentence) const {
  napi_handle_scope scope;
  if (!listens || napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value told, self, both[2], ignored;
  if (napi_get_reference_value(env, function, &told) == napi_ok && napi_get_undefined(env, &self) == napi_ok &&
      napi_create_int32(env, signal, &both[0]) == napi_ok &&
      napi_create_string_utf8(env, sentence.data(), sentence.size(), &both[1]) == napi_ok &&
      napi_call_function(env, self, told, 2, both, &ignored) == napi_pending_exception)
    napi_get_and_clear_last_exception(env, &ignored);  // a wait cannot fail by it
  napi_close_handle_scope(env, scope);
}

CaughtSignals::CaughtSignals() {
  if (!waitListener().catchesSignals) return;
  for (int at = 0; at < 3; ++at) {
    // Where no handler is installed the signal ends the process, which is as it should be.
    if (sigaction(kSignals[at], nullptr, &before_[at]) != 0 || before_[at].sa_handler == SIG_DFL ||
        before_[at].sa_handler == SIG_IGN)
      continue;
    struct sigaction mine = {};
    mine.sa_handler = note;
    mine.sa_flags = SA_RESTART;
    sigemptyset(&mine.sa_mask);
    replaced_[at] = sigaction(kSignals[at], &mine, nullptr) == 0;
  }
}

CaughtSignals::~CaughtSignals() {
  for (int at = 0; at < 3; ++at) {
    struct sigaction now;
    // Whoever was told may have stopped listening meanwhile.
    if (replaced_[at] && sigaction(kSignals[at], nullptr, &now) == 0 && now.sa_handler == note)
      sigaction(kSignals[at], &before_[at], nullptr);
  }
  while (const int late = take()) raise(late);
}

int CaughtSignals::take() {
  for (const int signal : kSignals)
    if (came.fetch_and(~(1u << signal)) & (1u << signal)) return signal;
  return 0;
}

}  // namespace odis
