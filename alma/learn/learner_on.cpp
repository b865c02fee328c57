#include "alma/learn/learner_on.h"

#include <nlohmann/json.hpp>

namespace alma {

nlohmann::json LearnerOn::state() { return base_->state(); }

}  // namespace alma
