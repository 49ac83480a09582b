import type { NamedParameter, ParameterGroup } from "@odis/torch";

/**
 * The two groups of DINO and iBOT (`utils.get_params_groups`): biases and 1-D weights do not decay,
 * everything else does, tokens and position embeddings included. Weights that are not trained are
 * in neither.
 */
export function parameterGroups(parameters: readonly NamedParameter[]): ParameterGroup[] {
  const trained = parameters.filter(([, weight]) => weight.requiresGrad);
  return [
    { decay: true, parameters: trained.filter((parameter) => !exempt(parameter)) },
    { decay: false, parameters: trained.filter(exempt) },
  ];
}

function exempt([name, weight]: NamedParameter): boolean {
  return name.endsWith(".bias") || weight.shape.length === 1;
}
