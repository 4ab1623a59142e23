/** A LoRA that was picked joins those of the form; the picker is ready for the next. */
Easel.addLora = (name, loras) => [
  '',
  name ? [...(loras ?? []), { name, unet: 1, text: 1, blocks: [] }] : (loras ?? []),
];
