#pragma once

namespace odis {

/// The processes that train together; what is behind it is process-group.cc's business.
class Collectives {
 public:
  virtual ~Collectives() = default;
};

}  // namespace odis
