// What can be said about a policy without an inventory: dangling names, cycles, and habits worth a
// warning. Pure.
#pragma once

#include "policies/language/model.h"

namespace sallyport::policy {

// CheckReferences reports E-REF for each name that nothing defines and E-CYCLE for groups that
// contain each other, and E-RANGE for a pinned group with a member group that is not pinned.
void CheckReferences(const Policy& policy, Diagnostics& out);

// CheckHabits reports W-BROAD and W-NOEXPIRY. Requires that CheckReferences found nothing.
void CheckHabits(const Policy& policy, Diagnostics& out);

}  // namespace sallyport::policy
