export type { InstanceUpdate } from "./content.js";
export type {
  ConflictPolicy,
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
export type { Registration } from "./registration.js";
export type { LossReason, Owner, RegistrationState } from "./registration-state.js";
