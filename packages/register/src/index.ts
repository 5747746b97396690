export type { InstanceUpdate } from "./content.js";
export type { GroupState } from "./group-state.js";
export type {
  ConflictPolicy,
  InstanceOptions,
  RegisterAllOptions,
  RegisterKeyOptions,
  RegisterOptions,
  RegistrationOptions,
} from "./options.js";
export {
  type InstanceRegistration,
  type KeyRegistration,
  register,
  registerKey,
  startKeyRegistration,
  startRegistration,
  type WaitOptions,
} from "./register.js";
export { type InstanceGroup, registerAll, startAllRegistrations } from "./register-all.js";
export type { Registration } from "./registration.js";
export type { RegistrationGroup } from "./registration-group.js";
export type { LossReason, Owner, RegistrationState } from "./registration-state.js";
