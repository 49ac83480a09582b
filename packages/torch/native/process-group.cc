// The processes that train together, by PyTorch's own process groups (c10d).
#include "process-group.h"

#include "bridge.h"
#include "waiting.h"

#if __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define ODIS_GLOO 1
#define USE_C10D_GLOO
#endif
#if defined(ODIS_NCCL_HEADERS) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>)
#define ODIS_NCCL 1
#define USE_C10D_NCCL
#endif

#if defined(ODIS_GLOO) || defined(ODIS_NCCL)
#define USE_DISTRIBUTED
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif
#ifdef ODIS_GLOO
#include "gloo/declarations.h"
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef ODIS_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <ATen/ops/zeros.h>
#include <torch/csrc/api/include/torch/cuda.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

namespace odis {

std::vector<std::string> collectiveBackends() {
  return {
#ifdef ODIS_GLOO
      "gloo",
#endif
#ifdef ODIS_NCCL
      "nccl",
#endif
  };
}

#if defined(ODIS_GLOO) || defined(ODIS_NCCL)
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Whoever waits longer says so to the others; and to a person this often.
constexpr milliseconds kLong{1000}, kReminder{30000};
/// How long the place where they met may take to answer.
constexpr milliseconds kAnswer{3000};

/// "1 s", "0.5 s"
std::string seconds(milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", double(time.count()) / 1000);
  return text;
}

/// What c10d says, in one line and without the place in its sources.
std::string reasonOf(const std::exception& error) {
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = firstLine(torch ? torch->what_without_backtrace() : error.what());
  const size_t end = text.rfind('[', 0) == 0 ? text.find("] ") : std::string::npos;
  if (end != std::string::npos) text = text.substr(end + 2);
  while (!text.empty() && text.back() == '.') text.pop_back();
  return text;
}

/// Where the processes met; there they also tell each other that something went wrong.
class Meeting {
 public:
  explicit Meeting(const Membership& membership) : self_(membership) {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(self_.port);
    options.isServer = self_.rank == 0;
    options.numWorkers = self_.size;
    options.waitWorkers = false;
    options.timeout = self_.meeting;
    try {
      store = c10::make_intrusive<c10d::TCPStore>(self_.address, options);
    } catch (const std::exception& error) {
      const std::string place = self_.address + ":" + std::to_string(self_.port);
      throw Refusal(Fault::kEngine, who() + (self_.rank == 0 ? " cannot let the others meet at " : " met nobody at ") +
                                        place + " within " + seconds(self_.meeting) +
                                        (self_.rank == 0 ? "" : ", where rank 0 should be") + " (" +
                                        reasonOf(error) + ")");
    }
    const auto begun = steady_clock::now();
    try {
      announce("here");
      if (self_.rank == 0) awaitAll();
      else store->wait(keys("here"), self_.meeting);
      store->setTimeout(self_.patience);
    } catch (const std::exception& error) {
      // A conversation that broke off: nothing that one could have waited for.
      if (self_.rank > 0 && std::chrono::steady_clock::now() - begun < self_.meeting * 9 / 10)
        throw Refusal(Fault::kEngine, who() + " was not understood at " + self_.address + ":" +
                                          std::to_string(self_.port) +
                                          ": another program listens there, or rank 0 has ended");
      std::string who_else;
      try {
        who_else = listed(without("here"));
      } catch (const std::exception&) {
        who_else = "rank 0";  // it kept the meeting place, and has left
      }
      throw Refusal(Fault::kEngine, who() + " waited " + seconds(self_.meeting) + ": " + who_else + " did not come");
    }
  }

  /// Lets the others know that this process waits for somebody, or waits no more.
  void announceWaiting(bool waits) {
    try {
      store->set(key("waits", self_.rank), std::vector<uint8_t>{waits});
    } catch (const std::exception&) {  // the message that is waited for will say so
    }
  }

  /// Who is waited for, a sentence; empty where another process that waits, too, says it.
  std::string awaited(const std::string& what, milliseconds waited) {
    std::vector<int> absent;
    int teller = self_.rank;
    try {
      const auto asking = conversation();
      for (int rank = 0; rank < self_.size; ++rank) {
        if (rank == self_.rank) continue;
        const bool waits = asking->check({key("waits", rank)}) && asking->get(key("waits", rank)).at(0);
        if (waits) teller = std::min(teller, rank);
        else absent.push_back(rank);
      }
    } catch (const std::exception&) {
      absent = {0};  // it keeps the meeting place
      teller = 1;
    }
    if (teller != self_.rank) return "";
    return who() + " has waited " + seconds(waited) + " for " + (absent.empty() ? "the others" : listed(absent)) +
           " in " + what + "; who does not answer within " + seconds(self_.patience) + " is taken for gone";
  }

  /// Whether a transfer of another process has failed, for one that has announced that it waits: what it waits for
  /// may be that process, which stays until all have heard of it.
  bool brokenElsewhere() {
    if (unheard_) return false;
    try {
      if (!asking_) asking_ = conversation();
      asking_->wait({key("waits", self_.rank)}, kAnswer);  // which, other than a check, does not take for ever
      return asking_->check({kBroken});
    } catch (const std::exception&) {  // the message that is waited for will say so
      unheard_ = true;
      return false;
    }
  }

  std::string who() const {
    return "rank " + std::to_string(self_.rank) + " of " + std::to_string(self_.size);
  }

  /// The sentence for a transfer that failed. Whoever is alive fails, too, when one breaks off, and
  /// says so here; who says nothing is the one to look at.
  std::string explain(const std::string& what, const std::exception& error) {
    broken = true;
    awaitFailed();
    const char* silent = missing.size() > 1 ? " do not answer" : " does not answer";
    return who() + " failed in " + what + ": " +
           (missing.empty() ? "no process is missing" : listed(missing) + silent) + " (" + reasonOf(error) + ")";
  }

  /// For a process that ends by itself and has said why: the others need not look for somebody.
  void giveUp() {
    try {
      announce("gave up");
    } catch (const std::exception&) {
    }
    awaitFailed();  // who keeps the meeting place must not leave before they have seen it
  }

  /// Whether a transfer has failed; then: ranks that do not answer, and those that gave up by themselves.
  bool broken = false;
  std::vector<int> missing, gaveUp;

  c10::intrusive_ptr<c10d::Store> store;

 private:
  std::string key(const std::string& word, int rank) const {
    return "odis/" + word + "/" + std::to_string(rank);
  }

  std::vector<std::string> keys(const std::string& word) const {
    std::vector<std::string> all;
    for (int rank = 0; rank < self_.size; ++rank) all.push_back(key(word, rank));
    return all;
  }

  /// Another one with the place where they met: an answer that comes late must not be taken for another question's.
  c10::intrusive_ptr<c10d::TCPStore> conversation() {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(self_.port);
    options.isServer = false;
    options.numWorkers = self_.size;
    options.waitWorkers = false;
    options.timeout = kAnswer;
    const auto asking = c10::make_intrusive<c10d::TCPStore>(self_.address, options);
    asking->wait({key("waits", self_.rank)}, kAnswer);
    return asking;
  }

  void announce(const std::string& word) { store->set(key(word, self_.rank), std::vector<uint8_t>{1}); }

  /// Rank 0 says every now and then who has not come yet.
  void awaitAll() {
    const auto begun = steady_clock::now();
    for (auto reminder = kReminder;;) {
      const std::vector<int> absent = without("here");
      if (absent.empty()) return;
      const auto waited = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begun);
      if (waited >= self_.meeting) throw std::runtime_error("some did not come");
      if (waited >= reminder && waitListener().listens) {
        waitListener().tell(0, who() + " waits for " + listed(absent) + "; " +
                                   seconds(self_.meeting - waited) + " left");
        reminder += kReminder;
      }
      std::this_thread::sleep_for(std::min(milliseconds(50), self_.meeting - waited));
    }
  }

  void awaitFailed() {
    try {
      announce("failed");
      store->set(kBroken, std::vector<uint8_t>{1});
      // With the network gone the next question would wait as long as a transfer: the first to fail is short.
      store->wait({key("failed", self_.rank)}, kAnswer);
      // Rank 0 keeps the meeting place: it stays a little longer.
      const auto patience = milliseconds(self_.rank == 0 ? 4000 : 3000);
      // On a busy machine one that is alive may be late: several are seldom gone at once.
      const auto begun = std::chrono::steady_clock::now();
      const auto end = begun + patience, late = begun + milliseconds(8000);
      while (!(missing = without("failed")).empty() &&
             std::chrono::steady_clock::now() < (missing.size() > 1 ? late : end))
        std::this_thread::sleep_for(milliseconds(100));
      gaveUp = with("gave up");
    } catch (const std::exception&) {
      missing = {0};
    }
  }

  std::vector<int> with(const std::string& word) { return found(word, true); }
  std::vector<int> without(const std::string& word) { return found(word, false); }

  /// Other ranks that have announced a word, or have not.
  std::vector<int> found(const std::string& word, bool there) {
    std::vector<int> ranks;
    for (int rank = 0; rank < self_.size; ++rank)
      if (rank != self_.rank && store->check({key(word, rank)}) == there) ranks.push_back(rank);
    return ranks;
  }

  /// "rank 3", "ranks 1, 3", "ranks 1, 2, 3, 4 and 60 others"
  static std::string listed(const std::vector<int>& ranks) {
    std::string text;
    for (size_t index = 0; index < ranks.size() && index < 8; ++index)
      text += (index ? ", " : ranks.size() > 1 ? "ranks " : "rank ") + std::to_string(ranks[index]);
    return ranks.size() > 8 ? text + " and " + std::to_string(ranks.size() - 8) + " others" : text;
  }

  inline static const std::string kBroken = "odis/broken";

  Membership self_;
  c10::intrusive_ptr<c10d::TCPStore> asking_;
  bool unheard_ = false;
};

/// Holds the tensors of a transfer until it is done, and finishes what the backend leaves to do.
template <class Work>
class Running : public Transfer {
 public:
  /// @param onHost whether the host waits, which for a GPU's queue it does not
  Running(std::shared_ptr<Meeting> meeting, std::string what, Work work, bool onHost,
          std::function<void()> finish)
      : meeting_(std::move(meeting)),
        what_(std::move(what)),
        work_(std::move(work)),
        onHost_(onHost),
        finish_(std::move(finish)) {}

  void wait() override {
    if (!work_) return;
    const Work work = std::move(work_);
    try {
      if (onHost_ && waitListener().listens) listenUntilDone(*work);
      work->wait();
    } catch (const std::exception& error) {
      throw Refusal(Fault::kEngine, meeting_->explain(what_, error));
    }
    if (finish_) finish_();
  }

 private:
  /// A wait that takes long is cut into slices, so that a person is heard and told something.
  template <class W>
  void listenUntilDone(W& work) {
    CaughtSignals signals;
    const auto begun = steady_clock::now();
    try {
      work.wait(milliseconds(200));  // wakes up at once, which most messages are worth
    } catch (const std::exception&) {  // an error of the message's own comes once more below
    }
    bool announced = false;
    auto asked = begun;
    for (auto reminder = kReminder; !work.isCompleted();
         std::this_thread::sleep_for(milliseconds(announced ? 10 : 1))) {
      if (const int signal = signals.take()) waitListener().tell(signal, "");
      const auto waited = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begun);
      if (!announced && waited >= kLong) {
        meeting_->announceWaiting(true);
        announced = true;
      }
      if (announced && steady_clock::now() - asked >= kLong) {
        asked = steady_clock::now();
        if (meeting_->brokenElsewhere()) throw std::runtime_error("another process was the first to find out");
      }
      if (waited < reminder) continue;
      reminder += kReminder;
      const std::string sentence = meeting_->awaited(what_, waited);
      if (!sentence.empty()) waitListener().tell(0, sentence);
    }
    if (announced) meeting_->announceWaiting(false);
  }

  std::shared_ptr<Meeting> meeting_;
  std::string what_;
  Work work_;
  bool onHost_;
  std::function<void()> finish_;
};

template <class Group>
class Joined : public Collectives {
 public:
  Joined(const Membership& membership, std::shared_ptr<Meeting> meeting, c10::intrusive_ptr<Group> group)
      : meeting_(std::move(meeting)), group_(std::move(group)), device_(membership.device) {
    rank = membership.rank;
    size = membership.size;
  }

  std::unique_ptr<Transfer> sum(const at::Tensor& tensor) override {
    return start("all-reduce", tensor, [&] {
      std::vector<at::Tensor> tensors{tensor};
      return group_->allreduce(tensors, summing<c10d::AllreduceOptions>());
    });
  }

  std::unique_ptr<Transfer> broadcast(const at::Tensor& tensor, int source) override {
    return start("broadcast", tensor, [&] {
      std::vector<at::Tensor> tensors{tensor};
      c10d::BroadcastOptions options;
      options.rootRank = source;
      return group_->broadcast(tensors, options);
    });
  }

  std::unique_ptr<Transfer> gather(const at::Tensor& whole, const at::Tensor& part) override {
    return start("all-gather", part, [&] {
      at::Tensor to = whole, from = part;
      if constexpr (kSingle) {
        return group_->_allgather_base(to, from);
      } else {
        std::vector<at::Tensor> inputs{from};
        std::vector<std::vector<at::Tensor>> outputs{to.chunk(size)};
        return group_->allgather(outputs, inputs);
      }
    });
  }

  std::unique_ptr<Transfer> scatterSum(const at::Tensor& part, const at::Tensor& whole) override {
    at::Tensor to = part, from = whole;
    if constexpr (kSingle) {
      return start("reduce-scatter", whole, [&] {
        return group_->_reduce_scatter_base(to, from, summing<c10d::ReduceScatterOptions>());
      });
    } else {
      // Gloo sums whole tensors; of the copy that it sums this rank keeps its part.
      from = whole.clone();
      return start("reduce-scatter", whole, [&] {
        std::vector<at::Tensor> tensors{from};
        return group_->allreduce(tensors, summing<c10d::AllreduceOptions>());
      }, [to, from, size = size, rank = rank] { to.copy_(from.chunk(size)[rank]); });
    }
  }

  bool broken() const override { return meeting_->broken; }
  std::vector<int> missing() const override { return meeting_->missing; }
  std::vector<int> gaveUp() const override { return meeting_->gaveUp; }

  void giveUp() override {
    group_.reset();  // whoever waits for this process fails at once
    meeting_->giveUp();
  }

  void barrier() override {
    if constexpr (kSingle) {  // NCCL's own would guess a GPU by the rank
      sum(at::zeros({1}, at::TensorOptions().device(device_)))->wait();
      torch::cuda::synchronize(device_.index());
    } else {
      Running running(meeting_, "barrier " + number(), group_->barrier(), true, {});
      running.wait();
    }
  }

 private:
#ifdef ODIS_NCCL
  static constexpr bool kSingle = std::is_same_v<Group, c10d::ProcessGroupNCCL>;
#else
  static constexpr bool kSingle = false;
#endif

  template <class Options>
  static Options summing() {
    Options options;
    options.reduceOp = c10d::ReduceOp::SUM;
    return options;
  }

  std::string number() { return std::to_string(++count_); }

  template <class Begin>
  std::unique_ptr<Transfer> start(const char* what, const at::Tensor& sent, const Begin& begin,
                                  std::function<void()> finish = {}) {
    const std::string name = what + (" " + number());
    messages += 1;
    bytes += sent.numel() * static_cast<int64_t>(sent.element_size());
    try {
      auto work = begin();
      return std::make_unique<Running<decltype(work)>>(meeting_, name, std::move(work), !kSingle,
                                                       std::move(finish));
    } catch (const std::exception& error) {
      throw Refusal(Fault::kOperator, name + " of " + describe(sent) + " did not begin: " + reasonOf(error));
    }
  }

  std::shared_ptr<Meeting> meeting_;
  c10::intrusive_ptr<Group> group_;
  at::Device device_;
  int64_t count_ = 0;
};

template <class Group, class Options>
std::shared_ptr<Collectives> joinBy(const Membership& membership, const Options& options) {
  options->timeout = membership.patience;
  auto meeting = std::make_shared<Meeting>(membership);
  try {
    auto group = c10::make_intrusive<Group>(meeting->store, membership.rank, membership.size, options);
    return std::make_shared<Joined<Group>>(membership, meeting, group);
  } catch (const std::exception& error) {
    throw Refusal(Fault::kEngine, meeting->explain("connecting", error));
  }
}

}  // namespace

std::shared_ptr<Collectives> join(const Membership& membership) {
#ifdef ODIS_GLOO
  if (membership.backend == "gloo") {
    using Gloo = c10d::ProcessGroupGloo;
    auto options = Gloo::Options::create();
    // torchrun users name the network interface by this variable.
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(interface && *interface ? Gloo::createDeviceForInterface(interface)
                                                       : Gloo::createDefaultDevice());
    return joinBy<Gloo>(membership, options);
  }
#endif
#ifdef ODIS_NCCL
  if (membership.backend == "nccl") {
    int loaded = 0;
    if (ncclGetVersion(&loaded) != ncclSuccess || loaded / 100 != NCCL_VERSION_CODE / 100) {
      throw Refusal(Fault::kEngine, "the bridge was built with the headers of NCCL " +
                                        std::to_string(NCCL_VERSION_CODE) + ", but NCCL " +
                                        std::to_string(loaded) + " is loaded; build it again");
    }
    return joinBy<c10d::ProcessGroupNCCL>(membership, c10d::ProcessGroupNCCL::Options::create());
  }
#endif
  throw Refusal(Fault::kEngine, "no backend \"" + membership.backend + "\" in this bridge");
}
#else
std::shared_ptr<Collectives> join(const Membership&) {
  throw Refusal(Fault::kEngine, "this LibTorch was built without collectives (c10d)");
}
#endif

}  // namespace odis
