// The settings of the Upscale page as they are at first, and how large a picture becomes by them.
Easel.upscaleDefaults = {
  way: 'network', // resample | network | redraw | diffusion
  resample: 'lanczos', // by each way the upscaler that was chosen last
  network: 'starter-x4',
  redraw: 'starter-x4',
  diffusion: '',
  by: 'factor', // factor | size
  factor: 2,
  is_own: false, // the factor is typed, not one of those offered
  width: null,
  height: null,
  frame: 'crop',
  second: '',
  blend: 0.5,
  tile: 0, // 0: as suits the network
  strength: 0.3,
  overlap: 0.25,
  side: 0, // of the tiles that are painted; 0: the model's own
  noise: 20,
  tries_several: false,
  levels: [0, 20, 60, 120],
  prompt: '',
  negative_prompt: '',
  sampler: 'dpmpp_2m',
  schedule: 'automatic',
  steps: 20,
  cfg: 5,
  free_steps: 20, // of diffusion upscalers, which like other numbers
  free_cfg: 4,
  seed: 0,
  fresh_seed: true,
  loras: [],
  output: 'png',
  quality: 90,
};

/** How large a picture becomes by an order: { width, height } of all of it, and of that the box is kept. */
Easel.upscaleSized = (order, { width, height }) => {
  // As the studio rounds: to the even number where it lies in the middle.
  const round = value => (Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));
  const asked = [order.width ?? null, order.height ?? null];
  const whole = (wide, high) => ({ width: wide, height: high, box: [0, 0, wide, high] });
  if (!asked[0] && !asked[1]) return whole(round(width * order.factor), round(height * order.factor));
  if (order.frame === 'stretch' && asked[0] && asked[1]) return whole(...asked);
  const sides = [width, height];
  const factors = asked.map((wanted, k) => (wanted ? wanted / sides[k] : null));
  const known = factors.filter(Boolean);
  const factor = order.frame === 'within' ? Math.min(...known) : Math.max(...known);
  const [wide, high] = sides.map((side, k) => (factors[k] === factor ? asked[k] : Math.max(1, round(side * factor))));
  if (order.frame !== 'crop' || !asked[0] || !asked[1]) return whole(wide, high);
  const [left, top] = [Math.floor((wide - asked[0]) / 2), Math.floor((high - asked[1]) / 2)];
  return { width: wide, height: high, box: [left, top, left + asked[0], top + asked[1]] };
};
