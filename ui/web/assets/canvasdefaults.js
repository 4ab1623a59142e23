// The settings beside the canvas as they are at first, by their names in the request.
Easel.canvasDefaults = {
  prompt: '',
  negative_prompt: '',
  sampler: 'dpmpp_2m',
  schedule: 'automatic',
  steps: 20,
  cfg: 5,
  seed: 0,
  fresh_seed: true,
  count: 1,
  clip_skip: 1,
  loras: [],
  scope: 'painted', // painted | else | all
  content: 'original',
  strength: 0.75,
  soft_edge: 8,
  area: 'masked',
  padding: 32,
  side: 0, // what the network works at; 0: the model's own
  match_colour: true,
  fit: 'stretch',
  border: { left: 0, top: 0, right: 0, bottom: 0 },
};
